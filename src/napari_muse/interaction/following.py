"""Signal connections that end with the object that made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psygnal import SignalInstance

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


def relay(signal: SignalInstance, other: SignalInstance) -> None:
    """Have a signal emit another one with its arguments, until ``other.emit`` is disconnected.

    To see its arguments, psygnal would emit the other one at once, as it does signals of PySide.
    """
    signal.connect(other.emit, check_nargs=False, on_ref_error="ignore")


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

    def follow_now(self, act: Callable[..., object], *signals: Any) -> None:
        """Call a function now, without arguments, and at each of some signals."""
        self.follow(act, *signals)
        act()

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
