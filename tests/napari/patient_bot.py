"""pytest-qt's bot, with timeouts that suit a busy machine."""

from __future__ import annotations

from collections.abc import Callable

from pytestqt.qtbot import QtBot

_PATIENCE_MS = 60_000


class PatientBot(QtBot):
    """Waits at least a minute where a test would wait for seconds."""

    def waitUntil(  # noqa: N802  # Qt's way of writing names
        self, callback: Callable[[], bool | None], *, timeout: int = _PATIENCE_MS
    ) -> None:
        super().waitUntil(callback, timeout=max(timeout, _PATIENCE_MS))
