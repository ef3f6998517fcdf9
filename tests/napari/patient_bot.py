"""pytest-qt's bot, which no busy machine makes fail."""

from __future__ import annotations

from collections.abc import Callable

from pytestqt.qtbot import QtBot

_PATIENCE_MS = 60_000


class PatientBot(QtBot):
    """Waits a minute at least for what is to come, where a test gives it seconds."""

    def waitUntil(  # noqa: N802  # Qt's way of writing names
        self, callback: Callable[[], bool | None], *, timeout: int = _PATIENCE_MS
    ) -> None:
        super().waitUntil(callback, timeout=max(timeout, _PATIENCE_MS))
