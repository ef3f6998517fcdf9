"""The type of progress callbacks."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int, str], None]
"""Called with the amount done, the total (0 while it is unknown), and a message."""
