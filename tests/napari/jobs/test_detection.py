from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from muse_core.errors import UserError
from muse_core.jobs import DetectJob, Progress
from muse_core.jobs.events import Cancelled, Done, Failed
from muse_core.models.registry import DEFAULT_MODEL, list_models
from muse_core.nuclei import ClassScheme, NucleusClass
from muse_core.nuclei.store import AnnotationStore
from muse_core.slides import Region
from napari_muse.jobs.detection import Detection
from napari_muse.jobs.disagreement import Comparison
from napari_muse.jobs.missing_features import MissingFeatures
from napari_muse.panels.muse_panel import MusePanel

JOB = Path(__file__).with_name("talking_job.py")


@pytest.fixture
def run(opened: MusePanel, qtbot: Any) -> Callable[..., dict[str, Any]]:
    """Runs a talking job over an area and returns its last event."""

    def start(
        behaviour: str,
        shapes: tuple[Region, ...] = (),
        act: Callable[[Detection], None] | None = None,
    ) -> dict[str, Any]:
        command = [sys.executable, str(JOB), behaviour]
        detection = Detection(opened.session, opened, command)
        ends: list[Any] = []
        detection.ended.connect(ends.append)
        detection.start(DetectJob(slide=""), shapes)
        if act:
            qtbot.waitUntil(lambda: len(opened.session.annotations.rows) > 0 and detection.running)
            qtbot.wait(300)
            act(detection)
        qtbot.waitUntil(lambda: not detection.running, timeout=20_000)
        qtbot.wait(100)
        assert len(ends) == 1, "exactly one end"
        end: dict[str, Any] = ends[0]
        return end

    return start


def _x(panel: MusePanel) -> list[float]:
    return sorted(panel.session.annotations.to_table()["x"])


def test_predictions_make_way_for_new_ones(opened: MusePanel, run: Callable[..., Any]) -> None:
    assert isinstance(run("done"), Done)
    assert _x(opened) == [50.5]


def test_a_slide_that_is_closed_under_way_is_let_go_at_the_end(
    opened: MusePanel, run: Callable[..., Any], annotations_folder: Path
) -> None:
    def close_and_cancel(detection: Detection) -> None:
        opened.session.viewer.layers.remove(opened.session.image_layer)
        detection.cancel()

    assert isinstance(run("wait", act=close_and_cancel), Cancelled)
    with AnnotationStore.open(next(annotations_folder.glob("*.muse"))) as store:
        assert not store.read_only, "another window can edit it"
        assert sorted(store.nuclei()["x"]) == [50.5, 100, 200, 300]


def test_what_is_said_of_a_slide_that_is_not_shown_any_more_names_it(
    opened: MusePanel, run: Callable[..., Any], cmu_slide: Path
) -> None:
    def leave_and_cancel(detection: Detection) -> None:
        opened.session.viewer.open(cmu_slide, plugin="napari-muse")
        detection.cancel()

    assert run("wait", act=leave_and_cancel).message == "small.tif: Cancelled."


def test_progress_on_a_slide_that_is_not_shown_any_more_names_it(
    opened: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    detection, said = opened.detection, opened.detect.message
    detection.runner._command = [sys.executable, str(JOB), "wait"]
    detection.start(DetectJob(slide=""), ())
    opened.detect.status.begin()
    qtbot.waitUntil(lambda: said.text() == "1 nuclei, 3 s left")
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    detection.runner.said.emit(Progress(2, 4, "2 nuclei", 2.0))
    qtbot.waitUntil(lambda: said.text() == "small.tif: 2 nuclei, 2 s left")
    detection.cancel()
    qtbot.waitUntil(lambda: not detection.running, timeout=20_000)
    assert said.text() == "small.tif: Cancelled."


def test_a_scale_that_is_set_under_way_is_said_not_to_be_that_of_the_figures(
    opened: MusePanel, run: Callable[..., Any]
) -> None:
    def change_and_cancel(detection: Detection) -> None:
        opened.session.set_mpp(0.4)
        detection.cancel()

    end = run("wait", act=change_and_cancel)
    said = "That is at 0.5 µm/pixel, which has been changed since; detect again."
    assert end.message == f"Cancelled. {said}"
    assert "changed since" not in run("done").message


@pytest.mark.parametrize("how", ["replaced", "changed"])
def test_the_nuclei_of_a_file_in_the_slides_place_are_not_taken_for_its_own(
    opened: MusePanel, small_slide: Path, qtbot: Any, how: str
) -> None:
    pixels = tifffile.imread(small_slide)[:, ::-1].copy()
    target = small_slide.with_name("other.tif") if how == "replaced" else small_slide
    tifffile.imwrite(
        target, pixels, photometric="rgb", tile=(128, 128), resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    target.replace(small_slide)
    entry = opened.detect.chosen_entry
    assert entry is not None
    opened.session.annotations.adopt_scheme(ClassScheme.from_json(entry.card.classes))
    before = opened.session.annotations.to_table()
    qtbot.mouseClick(opened.detect.start, Qt.MouseButton.LeftButton)
    assert not opened.detect.running
    said = opened.detect.message.text()
    assert "small.tif has been changed or replaced since it was opened" in said
    with pytest.raises(UserError, match="open it anew"):
        Comparison(opened.session).start(None, "cpu")
    with pytest.raises(UserError, match="open it anew"):
        MissingFeatures(opened.session).start(None)
    assert opened.session.annotations.to_table().equals(before)


def test_every_chunk_arrives(opened: MusePanel, run: Callable[..., Any]) -> None:
    run("many")
    assert _x(opened) == sorted([50.5, *range(40)])
    assert len(opened.session.nuclei.layer.data) == 41


def test_only_the_searched_area_is_replaced(opened: MusePanel, run: Callable[..., Any]) -> None:
    run("done", (Region(0, 0, 150, 300),))
    assert _x(opened) == [50.5, 200, 300]


def test_what_a_person_corrected_stays(opened: MusePanel, run: Callable[..., Any]) -> None:
    opened.session.annotations.set_class([2], 2)
    run("done")
    assert _x(opened) == [50.5, 200]


def test_reviewed_regions_stay_as_they_are(opened: MusePanel, run: Callable[..., Any]) -> None:
    annotations = opened.session.annotations
    # The job finds a nucleus at 50.5, 60.5; a user has verified that there is none.
    annotations.add_region([(0, 0), (150, 0), (150, 150), (0, 150)], reviewed=True)
    last = run("done")
    assert _x(opened) == [100]
    assert last.message.endswith("Reviewed regions were left as they are.")
    last = run("done", (Region(200, 0, 150, 300),))
    assert "Reviewed" not in last.message


def test_a_nucleus_on_the_border_of_a_reviewed_region_is_not_found_twice(
    opened: MusePanel, run: Callable[..., Any]
) -> None:
    annotations = opened.session.annotations
    annotations.append([49], [60], [1], [0.5], "m", 6.0)
    annotations.add_region([(0, 0), (50, 0), (50, 150), (0, 150)], reviewed=True)
    run("done")
    assert _x(opened) == [49]


def test_a_second_one_meanwhile_is_refused(opened: MusePanel, run: Callable[..., Any]) -> None:
    def start_another(detection: Detection) -> None:
        with pytest.raises(UserError, match="running"):
            detection.start(DetectJob(slide=""), ())
        detection.cancel()

    assert isinstance(run("wait", act=start_another), Cancelled)
    assert _x(opened) == [50.5, 100, 200, 300]


def test_classes_may_be_renamed_meanwhile(
    opened: MusePanel, run: Callable[..., Any], qtbot: Any
) -> None:
    annotations = opened.session.annotations

    def rename(detection: Detection) -> None:
        qtbot.waitUntil(lambda: detection._begun, timeout=20_000)
        with pytest.raises(UserError, match="detection is running"):
            annotations.edit_classes(lambda store: store.merge_classes("lymphocyte", "tumor"))
        cell = NucleusClass("immune", "#123456", "5")
        annotations.edit_classes(lambda store: store.change_class("lymphocyte", cell))
        detection.cancel()

    last = run("tell", act=rename)
    assert isinstance(last, Cancelled), last.message
    found = annotations.to_table().set_index("x")["class_name"]
    assert found[50.5] == found[70.5] == "immune"


def test_a_failure_brings_the_old_nuclei_back(opened: MusePanel, run: Callable[..., Any]) -> None:
    last = run("die")
    assert isinstance(last, Failed)
    assert last.message.endswith(".")
    assert _x(opened) == [100, 200, 300]


def test_after_a_failure_a_nucleus_corrected_meanwhile_is_there_once(
    opened: MusePanel, run: Callable[..., Any], qtbot: Any
) -> None:
    annotations = opened.session.annotations
    annotations.append([51], [60], [1], [0.5], "m", 6.0)

    def correct_and_kill(detection: Detection) -> None:
        qtbot.waitUntil(lambda: bool((annotations.rows["x"] == 50.5).any()), timeout=60_000)
        annotations.set_class([annotations.rows["id"][-1]], 1)
        detection.runner._process.kill()

    run("hang", act=correct_and_kill)
    assert _x(opened) == [50.5, 100, 200, 300]


def test_the_first_last_word_counts(opened: MusePanel, run: Callable[..., Any]) -> None:
    assert run("twice").message == "First word."


def test_cancel_keeps_new_and_old(opened: MusePanel, run: Callable[..., Any]) -> None:
    last = run("wait", act=lambda detection: detection.cancel())
    assert isinstance(last, Cancelled)
    assert _x(opened) == [50.5, 100, 200, 300]


def test_a_killed_job_fails_once_and_the_next_one_runs(
    opened: MusePanel, run: Callable[..., Any]
) -> None:
    last = run("hang", act=lambda detection: detection.runner._process.kill())
    assert isinstance(last, Failed)
    assert isinstance(run("done"), Done)


def test_a_program_that_is_not_there_fails_with_a_sentence(opened: MusePanel, qtbot: Any) -> None:
    detection = Detection(opened.session, opened, ["/no/such/program"])
    with qtbot.waitSignal(detection.runner.ended, timeout=60_000) as ended:
        detection.start(DetectJob(slide=""), ())
    assert isinstance(ended.args[0], Failed)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_real_job_detects_in_the_visible_field(
    panel: MusePanel, cmu_slide: Path, qtbot: Any, precision: str
) -> None:
    choice = panel.detect.precision
    choice.setCurrentIndex(choice.findData(precision))
    assert DEFAULT_MODEL in [entry.name for entry in list_models()]
    viewer = panel.session.viewer
    viewer.open(cmu_slide, plugin="napari-muse")
    viewer.scene.camera.center = (700 * 0.499, 1100 * 0.499)
    viewer.scene.camera.zoom = 6
    qtbot.wait(200)
    field = panel.session.visible_region()
    place = panel.detect.place
    place.setCurrentIndex(place.findData("field"))
    with qtbot.waitSignal(panel.detection.runner.ended, timeout=120_000) as ended:
        panel.detect.start.click()
        assert panel.detect.cancel.isVisible()
        assert not panel.detect.start.isEnabled()
    assert isinstance(ended.args[0], Done), ended.args[0]
    assert ended.args[0].result["precision"] == precision or precision == "auto"
    assert panel.detect.start.isEnabled()
    table = panel.session.annotations.to_table()
    assert len(table) > 10
    assert field.contains(table["x"].to_numpy(), table["y"].to_numpy()).all()
    assert set(table["class_name"]) <= {"lymphocyte", "stromal", "tumor"}
    qtbot.wait(200)
    assert len(panel.session.nuclei.layer.data) == len(table)
    counts = [int(label.text().replace(",", "")) for label in panel.legend.counts]
    assert np.array_equal(counts, panel.session.annotations.counts())
    assert sum(counts) == len(table)
