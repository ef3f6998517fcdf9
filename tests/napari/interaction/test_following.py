from __future__ import annotations

from psygnal import Signal

from napari_muse.interaction.following import Following


class Source:
    changed = Signal()


def test_what_is_followed_is_let_go() -> None:
    follower, first, second, seen = Following(), Source(), Source(), []
    follower.follow(lambda: seen.append(1), first.changed, second.changed)
    first.changed.emit()
    second.changed.emit()
    follower.in_the_end(lambda: seen.append(2))
    follower.disconnect_all()
    first.changed.emit()
    follower.disconnect_all()
    assert seen == [1, 1, 2]
