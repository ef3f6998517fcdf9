"""The type of progress callbacks."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int, str], None]
"""Called with what is done, what is to do (0 where that is unknown), and a message."""
