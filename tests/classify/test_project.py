"""A slide's annotations in a file of the user's choice, and finding them there again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muse_core.classify.feature_folder import FeatureFacts, append_features, features_beside
from muse_core.classify.project import move_project, project_path
from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore, StorePlace


@pytest.fixture
def place(tmp_path: Path) -> StorePlace:
    slide = tmp_path / "console.layer"
    slide.write_bytes(b"which image it is")
    return StorePlace(slide, tmp_path / "own")


@pytest.fixture
def store(place: StorePlace) -> Path:
    """A store with one nucleus that has features."""
    with place.create(ClassScheme.from_names(["cell"])) as made:
        made.add(10.0, 20.0, "cell")
        facts = FeatureFacts("m", "ab" * 32, ("cell",), 4, 1, "f" * 64, 0.5)
        append_features(features_beside(made.path), facts, [[10, 20]], np.ones((1, 4), np.float16))
        return made.path


def _x(place: StorePlace) -> list[float]:
    opened = place.open()
    assert opened is not None
    with opened:
        return list(opened.nuclei()["x"])


def test_it_is_moved_with_its_features_and_found_there(
    place: StorePlace, store: Path, tmp_path: Path
) -> None:
    target = project_path(tmp_path / "Präparat 1 #2%")
    assert target == tmp_path / "Präparat 1 #2%.muse"
    move_project(place, store, target)
    assert not list(store.parent.glob("*.muse*"))
    assert (features_beside(target) / ("ab" * 8) / "places.f64").stat().st_size == 16
    again = StorePlace(place.slide, place.folder)
    opened = again.open()
    assert opened is not None
    with opened:
        assert opened.path == target
        assert not opened.read_only
        opened.add(30.0, 40.0, "cell")
        assert opened.undo() is not None
        assert opened.undo() is not None, "its history came with it"
        assert opened.redo() is not None
    further = tmp_path / "further.muse"
    move_project(again, target, further)
    assert _x(place) == [10.0]
    assert not target.exists()


def test_nothing_that_is_there_is_replaced(place: StorePlace, store: Path, tmp_path: Path) -> None:
    target = tmp_path / "other.muse"
    target.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"^other.muse exists already; choose another name\.$"):
        move_project(place, store, target)
    assert target.read_bytes() == b"precious"
    features_beside(tmp_path / "new.muse").mkdir()
    with pytest.raises(UserError, match=r"new.muse.features exists already"):
        move_project(place, store, tmp_path / "new.muse")
    with pytest.raises(UserError, match="There is no folder"):
        move_project(place, store, tmp_path / "none" / "new.muse")
    assert _x(place) == [10.0]


def test_what_cannot_be_copied_to_its_end_leaves_all_as_it_was(
    place: StorePlace, store: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new.muse"
    # An obstacle to writing the note.
    (store.parent / "own.project").mkdir()
    blocked = StorePlace(place.slide, place.folder)
    note = next(iter(_notes(blocked)))
    note.mkdir()
    (note / "full").touch()
    with pytest.raises(UserError):
        move_project(blocked, store, target)
    assert not target.exists()
    assert not features_beside(target).exists()
    (note / "full").unlink()
    note.rmdir()
    assert _x(place) == [10.0]


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_cancelling_leaves_all_as_it_was(
    place: StorePlace, store: Path, tmp_path: Path, steps: int
) -> None:
    asked: list[bool] = []

    def should_cancel() -> bool:
        asked.append(True)
        return len(asked) > steps

    with pytest.raises(UserError, match=r"^Cancelled; nothing was moved\.$"):
        move_project(place, store, tmp_path / "new.muse", should_cancel)
    assert not list(tmp_path.glob("new*"))
    assert (features_beside(store) / ("ab" * 8) / "places.f64").stat().st_size == 16
    assert _x(place) == [10.0]


def _notes(place: StorePlace) -> list[Path]:
    from muse_core.nuclei.store.projects import project_note

    return [project_note(place.own_folder, place.identity)]


def test_a_project_that_is_not_there_is_named_and_not_begun_anew(
    place: StorePlace, store: Path, tmp_path: Path
) -> None:
    target = tmp_path / "stick.muse"
    move_project(place, store, target)
    away = target.rename(tmp_path / "away.muse")
    with pytest.raises(UserError, match=r"were saved as .*stick.muse, which is not there"):
        StorePlace(place.slide, place.folder).open()
    with pytest.raises(UserError, match="which is not there"):
        StorePlace(place.slide, place.folder).create(ClassScheme.from_names(["cell"]))
    away.rename(target)
    assert _x(place) == [10.0]
    _notes(place)[0].write_text("{")
    with pytest.raises(UserError, match="cannot be read; it says where nuclei were saved"):
        StorePlace(place.slide, place.folder).open()


def test_a_note_that_leads_to_another_slides_store_is_passed_over(
    place: StorePlace, store: Path, tmp_path: Path
) -> None:
    move_project(place, store, tmp_path / "first.muse")
    other_slide = tmp_path / "other.layer"
    other_slide.write_bytes(b"another image")
    with StorePlace(other_slide, tmp_path / "o").create(ClassScheme.from_names(["x"])) as other:
        path = other.path
    (tmp_path / "first.muse").unlink()
    path.rename(tmp_path / "first.muse")
    assert StorePlace(place.slide, place.folder).open() is None
    assert AnnotationStore.open(tmp_path / "first.muse", read_only=True).slide.name == "other.layer"
