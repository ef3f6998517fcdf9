"""Many nuclei are read beside the interface, and not edited until they are all there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, StorePlace
from muse_core.slides import open_slide
from napari_muse.annotations.opened_annotations import OpenedAnnotations
from napari_muse.annotations.slide_annotations import SlideAnnotations

N, FEW = 30_100, 300


class Waiting:
    """Work that waits until a test lets it run."""

    def __init__(self) -> None:
        self.tasks: list[
            tuple[Callable[[], Any], Callable[[Any], None], Callable[[str], None]]
        ] = []

    def later(
        self, work: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[str], None]
    ) -> None:
        self.tasks.append((work, then, failed))

    def run(self) -> None:
        work, then, failed = self.tasks.pop(0)
        try:
            result = work()
        except UserError as error:
            failed(str(error))
        else:
            then(result)


def _fill(place: StorePlace, n: int) -> Path:
    rng = np.random.default_rng(0)
    names = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, n)].tolist()
    x, y = rng.uniform(0, 300, (2, n))
    with place.create(ClassScheme.from_names(["a", "b"])) as store:
        ids = store.insert(nucleus_table(x, y, names, rng.random(n), model="m"))
        store.apply_predictions(ids[: n // 2], np.full(n // 2, 2), np.full(n // 2, 0.5))
        store.delete([1, n])
        store.confirm([2])
        return store.path


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> StorePlace:
    slide = tmp_path / "slide.png"
    slide.write_bytes(b"pixels")
    return StorePlace(slide)


def _open(place: StorePlace, waiting: Waiting) -> SlideAnnotations:
    return SlideAnnotations(ClassScheme.from_names(["x"]), place, later=waiting.later)


def test_many_nuclei_are_read_later_and_are_those_of_the_store(place: StorePlace) -> None:
    path, waiting = _fill(place, N), Waiting()
    opened = _open(place, waiting)
    assert opened.reading
    assert len(opened.rows) == 0
    assert opened.scheme.names == ("a", "b"), "the classes are there at once"
    told: list[int] = []
    opened.changed.connect(lambda: told.append(len(opened.rows)))
    waiting.run()
    assert not opened.reading
    assert told == [N]
    with AnnotationStore.open(path, read_only=True) as store:
        stored = store.rows()
        for name in stored.dtype.names or ():
            np.testing.assert_array_equal(opened.rows[name], stored[name])
        assert opened.counts().tolist() == list(store.count().values())
    before = opened.counts().sum()
    opened.add(5, 6, 2)
    opened.delete([2])
    assert opened.counts().sum() == before == opened.present.sum()
    assert opened.status[1] == opened.rows["status"][1]


def test_few_nuclei_are_read_at_once(place: StorePlace) -> None:
    _fill(place, FEW)
    waiting = Waiting()
    assert len(_open(place, waiting).rows) == FEW
    assert not waiting.tasks


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: a.add(1, 1, 1),
        lambda a: a.set_class([3], 1),
        lambda a: a.delete([3]),
        lambda a: a.undo(),
        lambda a: a.add_region([(0, 0), (9, 0), (9, 9)], reviewed=True),
        lambda a: a.edit_classes(lambda store: store.merge_classes("a", "b")),
        lambda a: a.drop_predictions(),
        lambda a: a.require_writable(),
        lambda a: a.save_as(Path("elsewhere.muse")),
    ],
)  # fmt: skip
def test_nothing_is_edited_before_all_are_read(
    place: StorePlace, edit: Callable[[SlideAnnotations], object]
) -> None:
    path, waiting = _fill(place, N), Waiting()
    opened = _open(place, waiting)
    with AnnotationStore.open(path, read_only=True) as store:
        revision = store.revision
    with pytest.raises(UserError, match="still being read"):
        edit(opened)
    with AnnotationStore.open(path, read_only=True) as store:
        assert store.revision == revision
    assert len(opened.to_table()) == N - 2, "a file that is saved meanwhile has them all"


def test_a_file_closed_while_it_is_read_is_read_when_it_is_opened_again(place: StorePlace) -> None:
    path, waiting = _fill(place, N), Waiting()
    opened = _open(place, waiting)
    opened.rest()
    assert sorted(file.name for file in path.parent.iterdir() if "-" in file.name) == []
    waiting.run()
    assert len(opened.rows) == 0
    opened.resume()
    assert opened.reading
    waiting.run()
    assert len(opened.rows) == N
    opened.rest()
    opened.resume()
    assert not waiting.tasks, "what nobody has changed is not read again"


def test_changes_of_another_program_are_read_before_an_edit(place: StorePlace) -> None:
    path, waiting = _fill(place, N), Waiting()
    opened = _open(place, waiting)
    waiting.run()
    opened.rest()
    with AnnotationStore.open(path) as store:
        store.set_class([3], "a")
    with pytest.raises(UserError, match="still being read"):
        opened.set_class([3], 2)
    waiting.run()
    assert opened.rows["class_id"][2] == 1
    opened.set_class([3], 2)
    assert opened.rows["class_id"][2] == 2


def test_nuclei_that_cannot_be_read_are_refused_with_a_sentence(small_slide: Path) -> None:
    waiting = Waiting()
    slide = open_slide(small_slide)
    path = _fill(StorePlace.of(slide.path, slide.part), N)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE nuclei SET class_id = 77 WHERE id = 30000")
    heard: list[tuple[SlideAnnotations, str]] = []
    several = OpenedAnnotations(
        ClassScheme.from_names(["x"]),
        lambda work, _: work(lambda: False),
        waiting.later,
        lambda annotations, refusal: heard.append((annotations, refusal)),
    )
    opened, refusal = several.of(slide)
    assert refusal == ""
    waiting.run()
    assert [annotations is opened for annotations, _ in heard] == [True]
    again, refusal = several.of(slide)
    assert "a nucleus has no class" in refusal
    assert refusal == heard[0][1]
    assert again is not opened
    with pytest.raises(UserError, match="a nucleus has no class"):
        again.add(1, 1, 1)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE nuclei SET class_id = 1 WHERE id = 30000")
    mended, refusal = several.of(slide)
    waiting.run()
    assert (len(mended.rows), refusal) == (N, "")
    slide.close()
