"""Signal connections that end with the object that made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


class Following:
    """A widget that follows signals of what outlives it, such as its session's."""

    _session: MuseSession
    _followed: tuple[tuple[Any, Callable[..., object]], ...] = ()
    _last_acts: tuple[Callable[[], object], ...] = ()

    def follow(self, act: Callable[..., object], *signals: Any) -> None:
        """Call a function at each of some signals of Qt, psygnal or napari."""
        for signal in signals:
            self._followed += ((signal, act),)
            signal.connect(act)

    def in_the_end(self, *acts: Callable[[], object]) -> None:
        """Register functions to call when the object stops following, to end its work."""
        self._last_acts += acts

    def disconnect_all(self) -> None:
        """Stop following."""
        pairs, self._followed = self._followed, ()
        acts, self._last_acts = self._last_acts, ()
        for signal, act in pairs:
            signal.disconnect(act)
        for act in acts:
            act()

    def attempt(self, act: Callable[[], object]) -> bool:
        """Call a function; a UserError is shown to the user, and False returned."""
        return self._session.attempt(act)
