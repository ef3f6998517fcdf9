"""Learning from each correction at once, in the real window with the bundled model's features."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from muse_core.classify.queue import TEACHES
from muse_core.nuclei import Status
from napari_muse.panels.muse_panel import MusePanel

from ..actions import QTest, answer, canvas_of, press
from .relearn_actions import N, classes, correct, settled, tick, turn_on


def test_it_asks_before_it_is_on_and_only_once(featured: MusePanel, qtbot: Any) -> None:
    before = classes(featured)
    tick(featured)
    assert not featured.relearn.on.isChecked()
    answer(featured, qtbot, agree=False)
    assert not featured.relearning.on
    correct(featured)
    settled(featured, qtbot)
    untouched = featured.session.annotations.rows["status"] == Status.PREDICTED
    np.testing.assert_array_equal(
        np.array(before)[untouched], np.array(classes(featured))[untouched]
    )
    turn_on(featured, qtbot)
    assert featured.relearning.on
    assert featured.relearn.on.isChecked()
    tick(featured)
    assert not featured.relearning.on
    tick(featured)
    assert featured.relearning.on


def test_corrections_reach_the_rest_the_screen_and_the_file(
    featured: MusePanel, qtbot: Any
) -> None:
    turn_on(featured, qtbot)
    assert "Nothing is corrected yet" in featured.relearn.says.text()
    left = featured.session.annotations.rows["x"] < 200
    before = np.array(classes(featured))
    correct(featured)
    settled(featured, qtbot)
    after = np.array(classes(featured))
    assert (after[left] == 0).mean() > (before[left] == 0).mean() + 0.3
    assert (after[~left] == before[~left]).mean() > 0.7
    assert "Agreement on corrections left out: " in featured.relearn.says.text()
    assert "→" in featured.relearn.moves.text()
    store = featured.session.annotations.store
    numbers = np.array(list(store.class_ids.values()))
    np.testing.assert_array_equal(store.rows()["class_id"], numbers[after])
    layer = featured.session.nuclei.layer
    colours = {tuple(c) for c in np.round(layer.border_color[: len(layer.data)], 3).tolist()}
    assert len(colours) > 1
    counts = np.bincount(after, minlength=len(numbers))
    np.testing.assert_array_equal(featured.session.annotations.counts(), counts)


def test_undo_is_one_step_and_does_not_start_it_again(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    annotations = featured.session.annotations
    correct(featured, 30)
    settled(featured, qtbot)
    row = annotations.rows[annotations.rows["status"] == Status.PREDICTED][0]
    before = classes(featured)
    annotations.set_class([row["id"]], int(row["class_id"]) % 3 + 1)
    settled(featured, qtbot)
    learnt = classes(featured)
    press(featured, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settled(featured, qtbot)
    once = classes(featured)
    press(
        featured, qtbot, Qt.Key.Key_Z,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )  # fmt: skip
    settled(featured, qtbot)
    assert classes(featured) == learnt
    for _ in range(2):
        press(featured, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settled(featured, qtbot)
    if once != learnt:
        assert classes(featured) == before


def test_many_corrections_in_a_row_become_few_steps(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    steps: list[None] = []
    featured.relearning.taught.connect(lambda: steps.append(None))
    correct(featured, 60)
    settled(featured, qtbot)
    assert 1 <= len(steps) <= 3
    learnt = featured.relearning.learnt
    assert learnt is not None
    assert learnt.result.n_examples == 60


def test_what_changed_is_outlined_for_a_while(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    correct(featured)
    settled(featured, qtbot)
    layer = featured.session.nuclei.layer
    assert len(np.unique(layer.size)) == 1
    QTest.mouseClick(featured.relearn.show_changed, Qt.MouseButton.LeftButton)
    learnt = featured.relearning.learnt
    assert learnt is not None
    larger = np.asarray(layer.size) > np.asarray(layer.size).min()
    shown = featured.session.nuclei.shown_ids
    np.testing.assert_array_equal(larger, np.isin(shown, learnt.changed_ids))
    qtbot.waitUntil(lambda: len(np.unique(layer.size)) == 1, timeout=15_000)


def test_the_queue_asks_what_teaches_most(featured: MusePanel, qtbot: Any) -> None:
    kind = featured.review.kind
    kind.setCurrentIndex(kind.findData(TEACHES))
    QTest.mouseClick(featured.review.start, Qt.MouseButton.LeftButton)
    assert "Turn on “Learn now” first" in featured.status.text()
    turn_on(featured, qtbot)
    QTest.mouseClick(featured.review.start, Qt.MouseButton.LeftButton)
    learnt = featured.relearning.learnt
    assert learnt is not None
    assert featured.queue.current == learnt.to_ask[0]
    press(featured, qtbot, Qt.Key.Key_1)
    press(featured, qtbot, Qt.Key.Key_2)
    settled(featured, qtbot)
    again = featured.relearning.learnt
    assert again is not None
    assert again.result.n_examples == 2 or "All corrections" in featured.relearn.says.text()
    assert featured.queue.running
    assert featured.queue.current is not None


def test_one_class_only_is_a_sentence(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    ids = featured.session.annotations.rows["id"][:3]
    before = classes(featured)[3:]
    featured.session.annotations.set_class(ids, 1)
    settled(featured, qtbot)
    assert "All corrections so far are of class" in featured.relearn.says.text()
    assert classes(featured)[3:] == before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_features_out_of_reach_are_a_sentence_until_they_are_back(
    featured: MusePanel, qtbot: Any
) -> None:
    turn_on(featured, qtbot)
    with Path(os.devnull).open("wb") as unreadable:
        for file in list(Path("/proc/self/fd").iterdir()):
            if file.is_symlink() and str(file.readlink()).endswith(".f16"):
                os.dup2(unreadable.fileno(), int(file.name))
    correct(featured)
    settled(featured, qtbot)
    assert "is its drive or share still connected?" in featured.relearn.says.text()
    correct(featured, 41)
    settled(featured, qtbot)
    assert "nuclei teach" in featured.relearn.says.text()


def test_without_features_there_is_a_sentence(opened: MusePanel, qtbot: Any) -> None:
    opened.tabs.setCurrentIndex(1)
    press(opened, qtbot, Qt.Key.Key_L, Qt.KeyboardModifier.ShiftModifier)
    answer(opened, qtbot)
    settled(opened, qtbot)
    assert "There are no features" in opened.relearn.says.text()


def test_both_methods_can_be_chosen(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    correct(featured)
    settled(featured, qtbot)
    first = classes(featured)
    featured.relearn.method.setCurrentIndex(1)
    settled(featured, qtbot)
    assert featured.relearning.learnt is not None
    assert classes(featured) != first


def test_what_was_learnt_becomes_a_model_to_choose(
    featured: MusePanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    turn_on(featured, qtbot)
    assert not featured.relearn.save.isEnabled()
    correct(featured)
    settled(featured, qtbot)
    QTest.mouseClick(featured.relearn.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Saved as small-1" in featured.status.text(), timeout=20_000)
    box = featured.detect.model
    assert "small-1" in [box.itemText(i) for i in range(box.count())]


def test_an_added_nucleus_gets_its_features_and_teaches(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    correct(featured, 30)
    settled(featured, qtbot)
    featured.session.annotations.add(205.0, 155.0, 1)
    settled(featured, qtbot)
    missing = featured.relearning.missing
    qtbot.waitUntil(lambda: missing.running, timeout=5000)
    qtbot.waitUntil(lambda: not missing.running, timeout=60_000)
    state = featured.relearning
    qtbot.waitUntil(
        lambda: state.learnt is not None and state.learnt.result.n_examples == 31, timeout=20_000
    )
    assert state.learnt is not None
    assert not len(state.learnt.unlearnt_ids)


def test_where_there_are_none_they_are_computed_at_a_press(opened: MusePanel, qtbot: Any) -> None:
    opened.tabs.setCurrentIndex(1)
    turn_on(opened, qtbot)
    assert "There are no features" in opened.relearn.says.text()
    assert opened.relearn.compute.isVisible()
    QTest.mouseClick(opened.relearn.compute, Qt.MouseButton.LeftButton)
    assert opened.relearn.compute.text() == "Stop computing"
    qtbot.waitUntil(lambda: not opened.relearning.missing.running, timeout=60_000)
    settled(opened, qtbot)
    assert "Nothing is corrected yet" in opened.relearn.says.text()
    assert not opened.relearn.compute.isVisible()


def _while_it_learns(panel: MusePanel, qtbot: Any, act: Callable[[], object]) -> None:
    """Correct twenty nuclei, and do something when the result is seen and not yet written."""
    state, annotations = panel.relearning, panel.session.annotations
    acted: list[object] = []

    def once(*_: object) -> None:
        if not acted:
            acted.append(act())

    state._mail.seen.connect(once)
    rows = annotations.rows[annotations.rows["status"] == Status.PREDICTED][:20]
    annotations.set_class(rows["id"], int(rows["class_id"][0]) % 3 + 1)
    qtbot.waitUntil(lambda: bool(acted), timeout=20_000)
    settled(panel, qtbot)


def test_what_is_undone_while_it_is_learnt_from_changes_nothing(
    featured: MusePanel, qtbot: Any
) -> None:
    turn_on(featured, qtbot)
    correct(featured, 30)
    settled(featured, qtbot)
    before, control = classes(featured), Qt.KeyboardModifier.ControlModifier
    canvas = canvas_of(featured)
    _while_it_learns(featured, qtbot, lambda: qtbot.keyClick(canvas, Qt.Key.Key_Z, control))
    assert classes(featured) == before
    assert "the next correction teaches again" in featured.relearn.says.text()
    press(featured, qtbot, Qt.Key.Key_Y, control)
    assert featured.status.text().startswith("Redone: class of 20 nuclei")
    row = featured.session.annotations.rows[-1]
    featured.session.annotations.confirm([row["id"]])
    settled(featured, qtbot)
    assert "teach;" in featured.relearn.says.text()


def test_classes_merged_while_they_are_learnt_stay_merged(featured: MusePanel, qtbot: Any) -> None:
    turn_on(featured, qtbot)
    correct(featured, 30)
    settled(featured, qtbot)
    annotations = featured.session.annotations
    names = annotations.scheme.names

    def merge() -> None:
        annotations.edit_classes(lambda store: store.merge_classes(names[0], names[1]))

    _while_it_learns(featured, qtbot, merge)
    assert annotations.scheme.names == names[1:]
    assert "the next correction teaches again" in featured.relearn.says.text()
    annotations.confirm([annotations.rows[-1]["id"]])
    settled(featured, qtbot)
    assert "teach;" in featured.relearn.says.text()
    assert annotations.counts().sum() == N


def test_turned_off_under_way_the_screen_shows_what_the_file_has(
    featured: MusePanel, qtbot: Any
) -> None:
    correct(featured)
    before = classes(featured)
    nuclei, state, seen = featured.session.nuclei, featured.relearning, []

    def turn_off(*_: object) -> None:
        seen.append(nuclei.layer.border_color.copy())
        state.turn(False)

    state._mail.seen.connect(turn_off)
    tick(featured)
    answer(featured, qtbot)
    qtbot.waitUntil(lambda: bool(seen) and not state.busy, timeout=20_000)
    shown = nuclei.layer.border_color.copy()
    nuclei.refresh()
    np.testing.assert_array_equal(shown, nuclei.layer.border_color)
    assert not np.array_equal(seen[0], shown), "nothing was seen before"
    untouched = featured.session.annotations.rows["status"] == Status.PREDICTED
    np.testing.assert_array_equal(
        np.array(before)[untouched], np.array(classes(featured))[untouched]
    )
