"""Import of files that may be of another slide: a question, a count, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from muse_core.nuclei import (
    NamedRegion,
    NucleusFile,
    nucleus_table,
    read_nuclei,
    write_csv,
    write_nuclei,
)
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import identify_slide
from napari_muse.panels.muse_panel import MusePanel

from ..actions import answer

SQUARE = ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0))
FAR = tuple((x + 5000, y) for x, y in SQUARE)


def _others(path: Path) -> Path:
    """Five nuclei and two regions, of which three and one lie on a slide of 400 x 300 px."""
    x, y = np.array([[20, 20], [399.5, 300.5], [50, 250], [401.5, 20], [9000, 9000]]).T
    table = nucleus_table(x, y, "tumor")
    regions = (NamedRegion(SQUARE, "on it"), NamedRegion(FAR, "beside"))
    write_nuclei(path, NucleusFile(table, regions=regions))
    return path


@pytest.mark.parametrize("dropped", [False, True])
def test_what_lies_beside_the_slide_is_asked_for_and_left_out(
    opened: MusePanel, tmp_path: Path, qtbot: Any, dropped: bool
) -> None:
    path, session = _others(tmp_path / "others.geojson"), opened.session
    before = session.annotations.to_table()

    def bring() -> None:
        if dropped:
            session.viewer.open(path, plugin="napari-muse")
        else:
            opened.export.load(path)

    bring()
    asked = answer(opened, qtbot, agree=False)
    assert "Of 7 objects in the file 2 nuclei and 1 region lie beside this slide" in asked
    assert "400 x 300 px" in asked
    assert "Take over 3 nuclei and 1 region" in asked
    assert session.annotations.to_table().equals(before)
    assert session.annotations.regions().empty
    bring()
    answer(opened, qtbot, agree=True)
    assert len(session.annotations.to_table()) == 6
    assert session.annotations.regions()["name"].tolist() == ["on it"]
    said = (opened.status if dropped else opened.export.message).text()
    assert "3 nuclei and 1 region taken over." in said
    assert "2 nuclei and 1 region lie beside this slide" in said
    assert "others" not in session.viewer.layers


def test_a_file_that_lies_beside_the_slide_altogether_is_refused(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    write_csv(nucleus_table([5000, 6000], [10, 20], "tumor"), tmp_path / "n.csv", 0.5)
    opened.export.load(tmp_path / "n.csv")
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=20_000)
    assert "2 nuclei, lies beside this slide, which is 400 x 300 px" in opened.status.text()
    assert opened.export.message.text() == "Nothing was taken over."
    assert len(opened.session.annotations.to_table()) == 3
    opened.session.viewer.open(tmp_path / "n.csv", plugin="napari-muse")
    assert "of another slide" in opened.status.text()


@pytest.mark.parametrize("name", ["n.csv", "n.geojson"])
def test_a_file_that_names_another_slide_is_asked_for(
    opened: MusePanel, tmp_path: Path, qtbot: Any, name: str
) -> None:
    """Also if all of it lies on this slide."""
    other = RecordedSlide("other.svs", "sha256:0123456789abcdef")
    table = nucleus_table([50, 60], [10, 20], "tumor")
    write_nuclei(tmp_path / name, NucleusFile(table, mpp=0.5, slide=other))
    opened.export.load(tmp_path / name)
    asked = answer(opened, qtbot, agree=False)
    assert asked.startswith("The file says that it is of the slide other.svs, and not of ")
    assert asked.endswith("Take over 2 nuclei?")
    assert opened.export.message.text() == "Nothing was taken over."
    opened.session.viewer.open(tmp_path / name, plugin="napari-muse")
    answer(opened, qtbot, agree=True)
    assert "2 nuclei taken over. The file says that it is of" in opened.status.text()
    assert len(opened.session.annotations.to_table()) == 5


def test_what_the_window_saves_is_of_its_slide(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    slide = opened.session.require_slide()
    expected = identify_slide(slide.path).recorded
    for name in ("n.csv", "n.parquet"):
        opened.export.save(tmp_path / name)
        qtbot.waitUntil(lambda: not opened.export.busy, timeout=20_000)
        assert read_nuclei(tmp_path / name).slide == expected
    opened.session.nuclei.layer.save(tmp_path / "layer.csv", plugin="napari-muse")
    assert read_nuclei(tmp_path / "layer.csv").slide == expected
    opened.export.load(tmp_path / "n.csv")
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=20_000)
    assert not opened.findChildren(QMessageBox)
    assert "3 nuclei taken over." in opened.export.message.text()


def test_a_file_of_another_scale_is_asked_for(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    write_csv(nucleus_table([50, 60], [10, 20], "tumor"), tmp_path / "n.csv", 0.25)
    opened.export.load(tmp_path / "n.csv")
    assert "counts 0.25 µm per pixel, and this slide has 0.5" in answer(opened, qtbot, agree=True)
    assert len(opened.session.annotations.to_table()) == 5


def test_what_the_slide_has_already_is_not_counted_as_taken_over(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    """The number said is the number by which the counts of the classes rise."""
    annotations = opened.session.annotations
    person = annotations.add(50, 50, annotations.class_ids[0])
    region = NamedRegion(((0, 0), (90, 0), (90, 90)), "corner")
    x, y = [50, 60, 70, 70.2], [50, 60, 70, 70]
    content = NucleusFile(nucleus_table(x, y, "tumor"), mpp=0.5, regions=(region,))
    write_nuclei(tmp_path / "n.geojson", content)

    def said() -> str:
        opened.export.load(tmp_path / "n.geojson")
        qtbot.waitUntil(lambda: not opened.export.busy, timeout=20_000)
        return opened.export.message.text()

    before = int(annotations.counts().sum())
    assert said().startswith(
        "2 nuclei and 1 region taken over."
        " 2 nuclei were left out: there are others in their places already."
    )
    assert annotations.counts().sum() == before + 2
    assert person in annotations.rows["id"][annotations.present]
    annotations.confirm(annotations.rows["id"][annotations.present])
    assert said().startswith(
        "0 nuclei taken over."
        " 4 nuclei and 1 region were left out: there are others in their places already."
    )
    assert annotations.counts().sum() == before + 2
