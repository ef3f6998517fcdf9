"""Edits, undo, redo, detections, imports, merges and restarts in any order make no duplicates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scipy.spatial import cKDTree

from muse_core.errors import UserError
from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusClass,
    NucleusFile,
    Status,
    nucleus_table,
)
from muse_core.nuclei.store import StorePlace
from muse_core.slides import Region
from napari_muse.annotations.slide_annotations import SlideAnnotations

NAMES = ("a", "b", "c")
SITES = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(-1, 2) * 20.0 + 10
"""Positions of the slide's nuclei; every detection of one is within 0.2 px of it."""
SAME_PX = 6.0
FIELD = Region(0, 0, 40, 60)
OUTLINE = ((0.0, 0.0), (35.0, 0.0), (35.0, 35.0), (0.0, 35.0))

sites = st.sets(st.integers(0, len(SITES) - 1), min_size=1, max_size=8).map(sorted)
nudges = st.floats(-0.2, 0.2)
models = st.sampled_from(["m", "n"])
class_names = st.sampled_from(NAMES)


class UndoMachine(RuleBasedStateMachine):
    """Exact states are recorded back to the last detection; beyond it undo restores what it can."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(ignore_cleanup_errors=True)
        slide = Path(self.folder.name) / "slide.png"
        slide.write_bytes(b"pixels")
        self.place = StorePlace(slide, slide.parent)
        self.open()
        self.before: list[Any] = []
        self.after: list[Any] = []
        self.now: Any = None
        """The state at the last check, after each step."""
        self.detect(list(range(len(SITES))), 0.0, "m", "a", True, "done")

    def open(self) -> None:
        self.annotations = SlideAnnotations(ClassScheme.from_names(NAMES), self.place)

    def teardown(self) -> None:
        self.annotations.rest()
        self.folder.cleanup()

    def state(self) -> Any:
        table = self.annotations.to_table()
        regions = self.annotations.regions()[["id", "name", "reviewed"]]
        scheme = self.annotations.scheme
        # The class of a nucleus before its class was dropped does not matter.
        return (table.to_dict("list"), regions.to_dict("list"), scheme)

    def edit(self, act: Any) -> None:
        was, depth = self.now, self.edits()
        try:
            act()
        except UserError:
            assert self.state() == was
            return
        if self.edits() != depth:
            self.before.append(was)
            self.after.clear()
        else:
            assert self.state() == was

    def edits(self) -> tuple[int, ...]:
        """State that changes with every recorded edit, even if it has no visible effect."""
        return self.annotations.store.revision[:1]

    def class_id(self, name: str) -> int:
        return self.annotations.class_ids[self.annotations.scheme.index(name)]

    def some(self, data: st.DataObject) -> list[int]:
        ids = self.annotations.rows["id"][self.annotations.present].tolist()
        return sorted(data.draw(st.sets(st.sampled_from(ids), max_size=5))) if ids else []

    # User actions ---------------------------------------------------------------------------

    @rule(where=sites, dx=nudges, c=class_names)
    def add(self, where: list[int], dx: float, c: str) -> None:
        xy = SITES[where] + dx
        if c in self.annotations.scheme.names:
            class_id = self.class_id(c)
            self.edit(lambda: self.annotations.add_many(xy[:, 0], xy[:, 1], class_id))

    @rule(data=st.data())
    def set_class(self, data: st.DataObject) -> None:
        ids = self.some(data)
        class_id = data.draw(st.sampled_from(self.annotations.class_ids))
        self.edit(lambda: self.annotations.set_class(ids, class_id))

    @rule(data=st.data(), whole=st.booleans())
    def learn(self, data: st.DataObject, whole: bool) -> None:
        """A classifier predicts classes of some or all nuclei, some of which no longer exist."""
        ids = [*self.annotations.rows["id"].tolist(), 10_000] if whole else self.some(data)
        pool = st.sampled_from(self.annotations.class_ids)
        classes = data.draw(st.lists(pool, min_size=len(ids), max_size=len(ids)))
        persons = self.persons()
        self.edit(lambda: self.annotations.apply_predictions(ids, classes, np.full(len(ids), 0.5)))
        rows = self.annotations.rows
        at = {number: i for i, number in enumerate(rows["id"].tolist())}
        for number, class_id in zip(ids, classes, strict=True):
            if number in at and rows["status"][at[number]] == Status.PREDICTED:
                assert rows["class_id"][at[number]] == class_id
        assert self.persons() == persons, "what a person has said stands"

    def persons(self) -> dict[int, int]:
        rows = self.annotations.rows[self.annotations.rows["status"] != Status.PREDICTED]
        return dict(zip(rows["id"].tolist(), rows["class_id"].tolist(), strict=True))

    @rule()
    def unlearn(self) -> None:
        self.edit(self.annotations.drop_predictions)

    @rule(data=st.data(), confirm=st.booleans())
    def settle(self, data: st.DataObject, confirm: bool) -> None:
        ids = self.some(data)
        act = self.annotations.confirm if confirm else self.annotations.delete
        self.edit(lambda: act(ids))

    @rule(data=st.data(), to=st.integers(0, len(SITES) - 1), dx=nudges)
    def move(self, data: st.DataObject, to: int, dx: float) -> None:
        ids, place = self.some(data)[:1], np.add(SITES[[to]], dx, dtype=np.float64)
        if ids and not self.annotations.occupied(place, but=ids)[0]:
            self.edit(lambda: self.annotations.move(ids, place[:, 0], place[:, 1]))

    @rule(reviewed=st.booleans())
    def region(self, reviewed: bool) -> None:
        self.edit(lambda: self.annotations.add_region(OUTLINE, reviewed, "field"))

    @precondition(lambda self: len(self.annotations.regions()) > 0)
    @rule()
    def remove_region(self) -> None:
        number = int(self.annotations.regions()["id"].iloc[0])
        self.edit(lambda: self.annotations.delete_region(number))

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        names = self.annotations.scheme.names
        if len(names) > 1:
            gone, into = data.draw(st.permutations(names))[:2]
            self.edit(lambda: self.annotations.edit_classes(lambda s: s.merge_classes(gone, into)))

    @rule(data=st.data(), new=class_names)
    def rename(self, data: st.DataObject, new: str) -> None:
        entry = data.draw(st.sampled_from(self.annotations.scheme.classes))
        changed = NucleusClass(new, entry.color, entry.key)
        self.edit(
            lambda: self.annotations.edit_classes(lambda s: s.change_class(entry.name, changed))
        )

    @rule(where=sites, dx=nudges, model=models, c=class_names, looked=st.booleans())
    def take_file(self, where: list[int], dx: float, model: str, c: str, looked: bool) -> None:
        xy = np.concatenate([SITES[where], SITES[where[:1]]]) + dx
        status = "confirmed" if looked else "predicted"
        table = nucleus_table(xy[:, 0], xy[:, 1], c, 0.75, status, model)
        regions = (NamedRegion(OUTLINE, "theirs", looked),)
        self.edit(lambda: self.annotations.load(NucleusFile(table, regions=regions)))

    @rule()
    def take_own_file(self) -> None:
        content = NucleusFile(self.annotations.to_table(), self.annotations.scheme)
        self.edit(lambda: self.annotations.load(content))

    # Detections -----------------------------------------------------------------------------

    @property
    def detecting(self) -> bool:
        return self.annotations.has_file and self.annotations.store.detecting

    def ingested(self) -> None:
        self.before.clear()
        self.after.clear()
        assert self.annotations.redo() is None

    @rule(
        where=sites, dx=nudges, model=models, c=class_names, whole=st.booleans(),
        how=st.sampled_from(["done", "done", "cancelled", "failed"]),
    )  # fmt: skip
    def detect(
        self, where: list[int], dx: float, model: str, c: str, whole: bool, how: str
    ) -> None:
        if self.detecting:
            return
        self.begin(c, whole)
        self.find(where, dx, model, c)
        self.end(how)

    @precondition(lambda self: not self.detecting)
    @rule(c=class_names, whole=st.booleans())
    def begin(self, c: str, whole: bool) -> None:
        self.annotations.adopt_scheme(ClassScheme.from_names([c]))
        rows = self.annotations.rows
        self.whole = whole
        mask = np.ones(len(rows), dtype=bool) if whole else FIELD.contains(rows["x"], rows["y"])
        self.annotations.begin_detection(mask, SAME_PX)
        self.ingested()

    @precondition(lambda self: self.detecting)
    @rule(where=sites, dx=nudges, model=models, c=class_names)
    def find(self, where: list[int], dx: float, model: str, c: str) -> None:
        xy = SITES[where] + dx
        if not self.whole:
            xy = xy[FIELD.contains(xy[:, 0], xy[:, 1])]
        # A detection reports every nucleus once.
        first = self.annotations.store.first_found
        rows = self.annotations.rows[self.annotations.rows["id"] >= (first or 0)]
        xy = xy[[not _any_near(p, rows) for p in xy]] if len(xy) else xy
        if c in self.annotations.scheme.names and len(xy):
            classes = np.full(len(xy), self.class_id(c))
            score = np.full(len(xy), 0.5)
            self.annotations.append(xy[:, 0], xy[:, 1], classes, score, model, SAME_PX)
            self.ingested()

    @precondition(lambda self: self.detecting)
    @rule(how=st.sampled_from(["done", "cancelled", "failed"]))
    def end(self, how: str) -> None:
        self.annotations.end_detection(how)
        self.ingested()

    @rule()
    def restart(self) -> None:
        if self.detecting:
            self.before.clear()
            self.after.clear()
        self.annotations.rest()
        self.open()

    # Undo -----------------------------------------------------------------------------------

    @rule(times=st.integers(1, 6))
    def undo(self, times: int) -> None:
        for _ in range(times):
            was = self.now
            try:
                undone = self.annotations.undo()
            except UserError:
                assert self.detecting
                return
            self.now = self.state()
            if self.before:
                assert undone is not None
                assert undone.left_out == 0
                assert self.now == self.before.pop()
                self.after.append(was)
            elif undone is not None:
                # Further back than recorded states; redo is still exact.
                self.after.append(was)

    @rule(times=st.integers(1, 6))
    def redo(self, times: int) -> None:
        for _ in range(times):
            was = self.now
            try:
                redone = self.annotations.redo()
            except UserError:
                assert self.detecting
                return
            self.now = self.state()
            assert (redone is not None) == bool(self.after)
            if redone is not None:
                assert self.now == self.after.pop()
                self.before.append(was)

    @invariant()
    def no_doubles(self) -> None:
        rows = self.annotations.rows[self.annotations.present]
        assert not cKDTree(_xy(rows)).query_pairs(0.5), "two live nuclei at one place"

    @invariant()
    def in_step(self) -> None:
        store = self.annotations.store
        # Field by field: the reported edit equals the one in the file.
        read = store.rows()
        for name in read.dtype.names or ():
            np.testing.assert_array_equal(self.annotations.rows[name], read[name], err_msg=name)
        assert self.annotations.scheme == store.classes
        assert self.annotations.class_ids == tuple(store.class_ids.values())
        names = np.array(store.classes.names, dtype=object)
        index = self.annotations.class_index(self.annotations.rows)
        assert self.annotations.counts().tolist() == list(store.count().values())
        shown = names[index[self.annotations.present]]
        self.now = self.state()
        assert shown.tolist() == self.now[0]["class_name"]
        assert set(store.classes.names) <= set(NAMES)


def _xy(rows: Any) -> npt.NDArray[np.float64]:
    return np.stack([rows["x"], rows["y"]], axis=1).reshape(-1, 2)


def _any_near(place: Iterable[float], rows: Any) -> bool:
    x, y = place
    return bool((np.hypot(rows["x"] - x, rows["y"] - y) <= SAME_PX).any())


class ManyUndoMachines(UndoMachine):
    """The same with more examples, run nightly."""


UndoMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestUndoMachine = UndoMachine.TestCase
ManyUndoMachines.TestCase.settings = settings(
    max_examples=1000, stateful_step_count=25, deadline=None
)
TestManyUndoMachines = pytest.mark.slow(ManyUndoMachines.TestCase)
