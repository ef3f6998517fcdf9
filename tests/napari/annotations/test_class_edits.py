"""Changes of a slide's classes; no window is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.errors import UserError
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.annotations.slide_annotations import SlideAnnotations

from .three_nuclei import three_nuclei


@pytest.fixture(name="annotations")
def _annotations(tmp_path: Path) -> SlideAnnotations:
    return three_nuclei(tmp_path)


def test_each_change_is_one_edit_that_undo_takes_back(annotations: SlideAnnotations) -> None:
    edits, before = ClassEdits(annotations), annotations.scheme
    edits.rename("a", "tumor")
    edits.set_color("tumor", "#102030")
    edits.set_key("b", before.classes[0].key)
    edits.add()
    tumor, b, new = annotations.scheme.classes
    assert (tumor.name, tumor.color, tumor.key) == ("tumor", "#102030", before.classes[1].key)
    assert (b.key, new.name in ("a", "b", "tumor")) == (before.classes[0].key, False)
    for _ in range(4):
        annotations.undo()
    assert annotations.scheme == before


def test_the_same_name_is_no_change(annotations: SlideAnnotations) -> None:
    edits = ClassEdits(annotations)
    edits.rename("a", "c")
    edits.rename("c", "c")
    annotations.undo()
    assert annotations.scheme.names == ("a", "b"), "undo took the change back that was one"


def test_merging_asks_with_the_right_numbers(annotations: SlideAnnotations) -> None:
    edits = ClassEdits(annotations)
    question = "Merge the class {} into {}? {} {}, and {} is dropped."
    assert edits.merging("a", "b") == question.format("a", "b", "2 nuclei become", "b", "a")
    assert edits.merging("b", "a") == question.format("b", "a", "1 nucleus becomes", "a", "b")
    with pytest.raises(UserError, match="in the table first"):
        edits.merging("", "b")
    with pytest.raises(UserError, match="into which class a is to be merged"):
        edits.merging("a", "a")
    edits.merge("a", "b")
    assert annotations.scheme.names == ("b",)
    assert annotations.counts().tolist() == [3]


def test_a_name_that_says_class_is_not_said_to_be_a_class_again(
    annotations: SlideAnnotations,
) -> None:
    edits = ClassEdits(annotations)
    edits.add()
    edits.set_color("class 1", "#102030")
    assert edits.merging("class 1", "b").startswith("Merge the class 1 into b?")
    edits.merge("class 1", "b")
    labels = [edit.label for edit in (annotations.undo() for _ in range(3)) if edit is not None]
    assert labels == ["merge of class 1 into b (0 nuclei)", "change of class 1", "new class 1"]


def test_what_cannot_be_kept_is_refused(annotations: SlideAnnotations) -> None:
    edits = ClassEdits(annotations)
    with pytest.raises(UserError):
        edits.rename("a", "b")
    with pytest.raises(UserError):
        edits.rename("a", "")
    assert annotations.scheme.names == ("a", "b")
