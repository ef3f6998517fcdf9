"""Say why a file was not read, where napari says only that its plugin gave an error."""

from __future__ import annotations

from typing import Any

from napari.errors import ReaderPluginError
from napari.utils.notifications import notification_manager, show_error

from muse_core.errors import UserError


def say_why() -> None:
    """Show the sentence of each UserError that napari hides behind an error of its own."""
    notification_manager.notification_ready.connect(_say_why)


def _say_why(notification: Any) -> None:
    error = getattr(notification, "exception", None)
    reason = error.original_error if isinstance(error, ReaderPluginError) else None
    if isinstance(reason, UserError):
        show_error(str(reason))
