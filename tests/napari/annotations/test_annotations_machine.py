"""Any sequence of edits and detections gives the state of a simple reference; undo restores."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import StorePlace
from napari_muse.annotations.slide_annotations import SlideAnnotations

NAMES = ("lymphocyte", "stromal", "tumor")
ID = (1, 2, 3)
"""Ids of the classes in a new store."""
coordinate = st.floats(0, 1000, allow_nan=False)
classes = st.integers(0, len(NAMES) - 1)


class BookMachine(RuleBasedStateMachine):
    """The reference keeps {id: (x, y, class, status)} and a list of former states."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(ignore_cleanup_errors=True)
        slide = Path(self.folder.name) / "slide.png"
        slide.write_bytes(b"pixels")
        self.place = StorePlace(slide, slide.parent)
        self.annotations = SlideAnnotations(ClassScheme.from_names(NAMES), self.place)
        self.now: dict[int, tuple[float, float, str, str]] = {}
        self.before: list[dict[int, tuple[float, float, str, str]]] = []
        self.after: list[dict[int, tuple[float, float, str, str]]] = []

    def teardown(self) -> None:
        self.annotations.rest()
        self.folder.cleanup()

    def some(self, data: st.DataObject) -> list[int]:
        ids = sorted(i for i, row in self.now.items() if row[3] != "deleted")
        return sorted(data.draw(st.sets(st.sampled_from(ids), max_size=3))) if ids else []

    def change(self, fresh: dict[int, tuple[float, float, str, str]]) -> None:
        """An edit, which is recorded only if it changes something."""
        if fresh != self.now:
            self.before.append(self.now)
            self.after.clear()
            self.now = fresh

    @rule(x=coordinate, y=coordinate, c=classes)
    def add(self, x: float, y: float, c: int) -> None:
        number = self.annotations.add(x, y, ID[c])
        assert number not in self.now, "an id is never given twice"
        fresh = deepcopy(self.now)
        fresh[number] = (x, y, NAMES[c], "added")
        self.before.append(self.now)
        self.after.clear()
        self.now = fresh

    @rule(data=st.data(), c=classes)
    def set_class(self, data: st.DataObject, c: int) -> None:
        ids, fresh = self.some(data), deepcopy(self.now)
        self.annotations.set_class(ids, ID[c])
        for i in ids:
            x, y, name, status = fresh[i]
            if status not in ("added", "corrected"):
                status = "confirmed" if name == NAMES[c] else "corrected"
            fresh[i] = (x, y, NAMES[c], status)
        self.change(fresh)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        ids, fresh = self.some(data), deepcopy(self.now)
        self.annotations.delete(ids)
        for i in ids:
            fresh[i] = (*fresh[i][:3], "deleted")
        self.change(fresh)

    @rule()
    def restart(self) -> None:
        self.annotations.rest()
        self.annotations = SlideAnnotations(ClassScheme.from_names(NAMES), self.place)

    @rule(data=st.data(), x=coordinate, y=coordinate)
    def move(self, data: st.DataObject, x: float, y: float) -> None:
        ids, fresh = self.some(data)[:1], deepcopy(self.now)
        if not ids or fresh[ids[0]][:2] == (x, y):
            return
        self.annotations.move(ids, [x], [y])
        _, _, name, status = fresh[ids[0]]
        fresh[ids[0]] = (x, y, name, "added" if status == "added" else "corrected")
        self.change(fresh)

    @precondition(lambda self: not self.before and not self.after)
    @rule(x=coordinate, y=coordinate, c=classes)
    def detect(self, x: float, y: float, c: int) -> None:
        """Only before the first edit: a detection is not an edit and is not undone."""
        if self.annotations.append([x], [y], [ID[c]], [0.5], "m", 0.0):
            number = int(self.annotations.rows["id"][-1])
            assert number not in self.now, "an id is never given twice"
            self.now = {**self.now, number: (x, y, NAMES[c], "predicted")}

    @rule()
    def undo(self) -> None:
        assert (self.annotations.undo() is not None) == bool(self.before)
        if self.before:
            self.after.append(self.now)
            self.now = self.before.pop()

    @rule()
    def redo(self) -> None:
        assert (self.annotations.redo() is not None) == bool(self.after)
        if self.after:
            self.before.append(self.now)
            self.now = self.after.pop()

    @invariant()
    def same(self) -> None:
        table = self.annotations.to_table().set_index("id")
        found = {
            int(i): (r["x"], r["y"], r["class_name"], r["status"]) for i, r in table.iterrows()
        }
        assert found == {i: row for i, row in self.now.items() if row[3] != "deleted"}
        ids = self.annotations.rows["id"]
        assert (np.diff(ids) > 0).all(), "rows are in the order of their ids"
        counts = [sum(r[2] == name for r in found.values()) for name in NAMES]
        assert self.annotations.counts().tolist() == counts


BookMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestBookMachine = BookMachine.TestCase
