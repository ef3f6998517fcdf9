"""Interface for questions to the user, for code that does not use widgets."""

from __future__ import annotations

from collections.abc import Callable

Ask = Callable[[str, str, Callable[[], None], Callable[[], None]], None]
"""Gets a question, what the button says, and what to do on yes and on no."""


def decline(
    question: str, button: str, then: Callable[[], None], otherwise: Callable[[], None]
) -> None:
    """Answer no, where there is no window to ask in."""
    otherwise()
