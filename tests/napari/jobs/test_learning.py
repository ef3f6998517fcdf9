"""From corrections to a better model, with the real job on the demo slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QSignalSpy
from qtpy.QtWidgets import QWidget

from muse_core.detect import Detector
from muse_core.finetune.presets import resolved
from muse_core.jobs import Done, Event, MetricsMeasured
from muse_core.models import registry
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme
from muse_core.slides import PolygonRegion, Region, open_slide
from napari_muse.jobs import learning
from napari_muse.panels.muse_panel import MusePanel

from ...job_inputs import write_model
from ..actions import press

LEFT = Qt.MouseButton.LeftButton
# The canvas is in portrait format: each field is about 500 x 800 px.
FIELDS = (Region(850, 900, 400, 300), Region(850, 2100, 400, 300))
_LEARN = 3
# Twice as fast as the default model, from which the window learns in the same way.
MODEL = "muse-small"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's models."""
    folder = tmp_path / "models"
    monkeypatch.setattr(registry, "user_model_folder", lambda: folder)
    monkeypatch.setattr(learning, "user_model_folder", lambda: folder)
    return folder


@pytest.fixture
def slide_open(panel: MusePanel, models: Path, cmu_slide: Path, qtbot: Any) -> MusePanel:
    panel.session.viewer.window.resize(1400, 900)
    panel.session.viewer.open(cmu_slide, plugin="napari-muse")
    panel.detect.model.setCurrentIndex(panel.detect.model.findText(MODEL))
    panel.tabs.setCurrentIndex(_LEARN)
    qtbot.wait(100)
    return panel


@pytest.fixture(scope="module")
def found(cmu_slide: Path) -> pd.DataFrame:
    """Detections of the bundled model around the fields, computed once for all tests."""
    around = [Region(f.x - 200, f.y - 400, 800, 1100) for f in FIELDS]
    with open_slide(cmu_slide) as slide:
        return Detector(load_model(resolve_model(MODEL))).detect(slide, around).table


@pytest.fixture
def reviewed(
    slide_open: MusePanel, found: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> MusePanel:
    """Two fields with the bundled model's nuclei, some corrected, both marked as reviewed.

    A training takes 20 steps on a view or two of each field: the window's behaviour does not
    depend on its length.
    """
    short = {"steps": 20, "adapt": {"megapixels": 1.5}}
    monkeypatch.setattr(learning, "resolved", lambda values: resolved({**values, **short}))
    panel = slide_open
    annotations = panel.session.annotations
    class_ids = dict(zip(annotations.scheme.names, annotations.class_ids, strict=True))
    classes = [class_ids[name] for name in found["class_name"]]
    x, y, score = (found[name].to_numpy() for name in ("x", "y", "score"))
    panel.session.annotations.append(x, y, classes, score, "bundled", 0.0)
    for field in FIELDS:
        panel.session.show_area(field)
        press(panel, qtbot, Qt.Key.Key_R)
    # In a field: the order of nuclei in the table depends on the tiling of the slide.
    ids = annotations.rows["id"][annotations.inside(FIELDS[0])]
    panel.session.annotations.set_class(ids[:20], 3)
    panel.session.annotations.delete(ids[20:25])
    return panel


def test_too_little_is_refused_with_a_sentence(slide_open: MusePanel, qtbot: Any) -> None:
    qtbot.mouseClick(slide_open.learn.start, LEFT)
    assert "Nothing is reviewed yet" in slide_open.status.text()
    slide_open.session.annotations.add(1050, 1050, 1)
    slide_open.session.show_area(FIELDS[0])
    press(slide_open, qtbot, Qt.Key.Key_R)
    qtbot.mouseClick(slide_open.learn.start, LEFT)
    few = "Only 1 nucleus of the class 'lymphocyte' lies"
    qtbot.waitUntil(lambda: few in slide_open.status.text(), timeout=60_000)
    assert not slide_open.learning.running


def test_another_slide_is_not_taught_in_the_place_of_the_one_that_was_counted(
    slide_open: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session = slide_open.session
    session.annotations.add(1050, 1050, 1)
    counting = Flag()
    slide_open.learning._background.do(counting.wait, lambda _: None, pytest.fail)
    qtbot.mouseClick(slide_open.learn.start, LEFT)
    session.viewer.open(small_slide, plugin="napari-muse")
    qtbot.wait(50)
    counting.set()
    wanted = "Another slide is shown by now; nothing was started."
    qtbot.waitUntil(lambda: slide_open.status.text() == wanted, timeout=60_000)
    assert not slide_open.learning.running
    assert slide_open.learn.start.isEnabled()


def test_it_says_what_it_will_use(reviewed: MusePanel, qtbot: Any) -> None:
    tissue, uses = reviewed.learn.tissue, reviewed.learn.uses
    qtbot.waitUntil(lambda: tissue.mm2 is not None, timeout=60_000)
    wanted = ("2 fields reviewed, 1 in the holdout", "5 removed", "mm² reviewed.")
    qtbot.waitUntil(lambda: all(part in uses.text() for part in wanted), timeout=60_000)
    reviewed.learn.mode.setCurrentIndex(1)
    counted: list[Any] = []
    reviewed.learning.count(counted.append, pytest.fail)
    qtbot.waitUntil(lambda: bool(counted), timeout=60_000)
    (summary,) = counted
    assert tissue.mm2 is not None
    assert 0 < summary.reviewed_mm2 < tissue.mm2
    area = f"{tissue.mm2 - summary.reviewed_mm2:.2g}"
    other = f"mm² reviewed; with them, up to {area} mm² of the slide's other tissue."
    qtbot.waitUntil(lambda: other in uses.text(), timeout=60_000)
    reviewed.learn.mode.setCurrentIndex(0)
    qtbot.waitUntil(lambda: "mm² reviewed." in uses.text(), timeout=60_000)


def test_one_button_makes_a_model_that_can_be_used_and_left_again(
    reviewed: MusePanel, models: Path, qtbot: Any, shoot: Callable[[QWidget, str], None]
) -> None:
    learn = reviewed.learn
    regions = reviewed.session.annotations.regions()["vertices"]
    seen = [PolygonRegion(tuple(map(tuple, corners))).bounds for corners in regions]
    old = reviewed.detect.model.currentData()
    qtbot.mouseClick(learn.start, LEFT)
    qtbot.waitUntil(lambda: reviewed.learning.running, timeout=60_000)
    qtbot.waitUntil(lambda: not reviewed.learning.running, timeout=300_000)
    outcome = reviewed.learning.outcome
    assert outcome is not None, learn.message.text()
    assert outcome.model is not None
    assert read_card(outcome.model).parent == MODEL
    shown = {name: len(line.getData()[0]) for name, line in learn.curves.lines.items()}
    assert min(shown.values()) > 1
    assert learn.proof.rowCount() == 5
    assert "[" in learn.proof.item(0, 1).text(), "with an interval"
    assert "chosen on the same fields" in learn.message.text(), "the notes of the run"
    assert f"written to {outcome.model.name}." in learn.message.text()
    assert learn.message.toolTip() == str(outcome.model)
    assert reviewed.detect.model.currentData() == old, "nothing changes unasked"
    shoot(reviewed.window() or reviewed, "trained")
    before = reviewed.session.annotations.to_table()
    qtbot.mouseClick(learn.use, LEFT)
    assert reviewed.detect.model.currentData() == str(outcome.model)
    qtbot.waitUntil(lambda: not reviewed.detection.running, timeout=300_000)
    assert learn.message.text().startswith("The new model is chosen. ")
    after = reviewed.session.annotations.to_table()
    guessed = after[after["status"] == "predicted"]
    beside = ~np.logical_or.reduce([f.contains(guessed["x"], guessed["y"]) for f in seen])
    assert beside.sum() > 100
    assert set(guessed["model"][beside]) == {outcome.model.stem}, "also out of view"
    persons = before[before["status"] != "predicted"]
    assert set(persons["id"]) <= set(after["id"]), "what a person did stays"
    assert learn.back.text() == f"Go back to {MODEL}"
    # The old model detects again where the new one has, wherever the view is now.
    reviewed.session.show_area(FIELDS[0])
    qtbot.mouseClick(learn.back, LEFT)
    assert reviewed.detect.model.currentData() == old
    assert "detecting with it, to bring its nuclei back" in learn.message.text()
    assert reviewed.detection.running
    qtbot.waitUntil(lambda: not reviewed.detection.running, timeout=300_000)
    assert learn.message.text().startswith(f"{MODEL} is chosen again. ")
    models_now = set(reviewed.session.annotations.to_table()["model"])
    assert models_now <= {"bundled", MODEL}, "none of the new model is left"


@pytest.mark.parametrize("way", ["cancel", "close", pytest.param("kill", marks=pytest.mark.slow)])
def test_stopping_leaves_the_old_model_and_no_checkpoint(
    reviewed: MusePanel,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
    way: str,
) -> None:
    learn, trains = reviewed.learn, reviewed.learning
    long = {"steps": 4000, "validate_every": 5, "adapt": {"megapixels": 1.5}}
    monkeypatch.setattr(learning, "resolved", lambda values: resolved({**values, **long}))
    said: list[Event] = []
    trains.progress.connect(said.append)
    qtbot.mouseClick(learn.start, LEFT)
    # The base model's figures, and those of two validations.
    qtbot.waitUntil(lambda: sum(isinstance(e, MetricsMeasured) for e in said) == 3, timeout=300_000)
    process = trains.runner._process
    assert process is not None
    if way == "close":
        gone = QSignalSpy(process.destroyed)
        trains.close()
        assert len(gone) or gone.wait(300_000)
    elif way == "kill":
        process.kill()
        qtbot.waitUntil(lambda: not trains.running, timeout=60_000)
    else:
        qtbot.mouseClick(learn.cancel, LEFT)
        qtbot.waitUntil(lambda: not trains.running, timeout=300_000)
        assert learn.message.text() in ("Stopped.", "Cancelled.") or (
            "Cancelled" in learn.message.text()
        )
        assert learn.start.isEnabled()
    assert not list(models.glob("*.checkpoint"))
    assert reviewed.detect.chosen_entry.name == MODEL


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0.81, 0.74, True), (0.74, 0.81, False), (0.801, 0.799, False), (0.7, None, False)],
)
def test_a_worse_model_is_not_the_one_that_is_offered_first(
    slide_open: MusePanel, models: Path, qtbot: Any, before: float, after: float | None, worse: bool
) -> None:
    figures = [None if f is None else {"f_det": 0.8, "f_avg": f} for f in (before, after)]
    result = {"model": str(models / "new.safetensors"), "before": figures[0], "after": figures[1]}
    slide_open.learning.runner.ended.emit(Done("Trained.", result))
    learn, said = slide_open.learn, slide_open.learn.message.text()
    assert learn.keep.isDefault() == worse
    assert learn.use.isDefault() != worse
    assert learn.use.text() == ("Use it anyway" if worse else "Use it")
    if worse:
        assert said.startswith(
            "On the holdout fields the new model is worse: F1 of the mean of classes from 0.81 to"
            " 0.74. Keep the old one"
        )
    assert ("worse" in said) == worse
    assert ("nothing says whether" in said) == (after is None)


@pytest.mark.parametrize("how", ["mapping", "scale"])
def test_a_new_model_that_nothing_is_detected_with_is_not_said_to_be_detecting(
    panel: MusePanel, models: Path, unscaled_slide: Path, qtbot: Any, how: str
) -> None:
    """The dialog of the classes is cancelled, or the scale is not known."""
    panel.session.viewer.open(unscaled_slide, plugin="napari-muse")
    if how == "mapping":
        panel.session.set_mpp(0.5)
    panel.session.annotations.adopt_scheme(ClassScheme.from_names(["tumor", "other"]))
    panel.session.annotations.add(20, 20, 1)
    panel.tabs.setCurrentIndex(_LEARN)
    models.mkdir()
    new = write_model(models / "new.safetensors")
    panel.learning.runner.ended.emit(Done("Trained.", {"model": str(new)}))
    qtbot.mouseClick(panel.learn.use, LEFT)
    if how == "mapping":
        assert "detecting with it" in panel.learn.message.text()
        dialog = panel.detect.mapping_dialog
        assert dialog is not None
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not panel.detection.running
    assert panel.learn.message.text() == (
        "The new model is chosen; nothing was detected with it. “Detect nuclei” does so."
    )
    assert panel.detect.model.currentData() == str(new)
    panel.detection.ended.emit(Done("3 nuclei."))
    assert "3 nuclei" not in panel.learn.message.text(), "that was not with the switch"


def test_a_long_name_of_a_model_does_not_widen_the_panel(
    panel: MusePanel, models: Path, qtbot: Any
) -> None:
    stem = "TCGA-CR-7395-01A-01-TS1-4f8c6d5e-1f2e-4c1a-9d1b-0123456789ab"
    old, new = (models / f"{stem}-{number}.safetensors" for number in (1, 2))
    card = replace(read_card(write_model(old)), name=old.stem)
    save_model(MuseModel(card), old)
    save_model(MuseModel(replace(card, name=new.stem, parent=old.stem)), new)
    panel.detect.update_models(str(new))
    panel.tabs.setCurrentIndex(_LEARN)
    assert panel.learn.back.isVisible()
    assert panel.learn.back.text().startswith("Go back to TCGA-CR")
    assert panel.learn.minimumSizeHint().width() <= 350
