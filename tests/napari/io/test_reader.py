from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

from muse_core.errors import UserError
from muse_core.models.card import MODEL_SUFFIX
from muse_core.nuclei import NUCLEUS_SUFFIXES as NUCLEUS_SUFFIXES
from muse_core.nuclei import NucleusFile, nucleus_table, write_csv, write_nuclei
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.slides import SLIDE_SUFFIXES
from napari_muse.io.reader import FILE_KEY, SLIDE_KEY, get_reader, read_slide

from ...slides.slide_files import write_ome_zarr
from ..actions import when_asked


def test_an_svs_is_scaled_in_microns(cmu_slide: Path) -> None:
    ((data, settings, kind),) = read_slide(str(cmu_slide))
    assert kind == "image"
    assert data.shape == (2967, 2220, 3)
    assert settings["scale"] == (0.499, 0.499)
    assert settings["units"] == ("um", "um")
    assert settings["metadata"][SLIDE_KEY].mpp == 0.499


def test_a_pyramid_is_multiscale_and_in_pixels_while_mpp_is_unknown(unscaled_slide: Path) -> None:
    ((levels, settings, _),) = read_slide(str(unscaled_slide))
    assert settings["multiscale"]
    assert len(levels) == 6
    assert settings["units"] == ("pixel", "pixel")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_plain_images_open(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"i{suffix}"
    Image.fromarray(np.full((20, 30, 3), 200, dtype=np.uint8)).save(path)
    reader = get_reader(str(path))
    assert reader is not None
    ((data, settings, _),) = reader(str(path))
    assert data.shape == (20, 30, 3)
    assert not settings["multiscale"]


def test_csv_gives_points_in_naparis_order(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    write_csv(nucleus_table([10.5], [20.5], "a"), path, 0.5)
    reader = get_reader(str(path))
    assert reader is not None
    ((data, settings, kind),) = reader(str(path))
    assert kind == "points"
    assert settings["scale"] == (0.5, 0.5)
    assert settings["units"] == ("um", "um")
    assert data.tolist() == [[20.0, 10.0]]


def test_what_is_not_ours_is_left_to_others(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path / "movie.avi")) is None
    table = tmp_path / "table.csv"
    table.write_text("name,value\na,1\n")
    assert get_reader(str(table)) is None
    settings = tmp_path / "settings.json"
    settings.write_text('{"colour": "red"}')
    assert get_reader(str(settings)) is None


def test_of_very_many_nuclei_a_sample_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    x = np.arange(30_000.0)
    write_nuclei(path, NucleusFile(nucleus_table(x, x, "a"), mpp=0.5))
    reader = get_reader(str(path))
    assert reader is not None
    ((data, settings, _),) = reader(str(path))
    assert len(data) == 20_000
    assert len(settings["metadata"][FILE_KEY].table) == 30_000


def test_csv_without_microns_is_in_pixels(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px,class\n1,2,a\n")
    reader = get_reader(str(path))
    assert reader is not None
    ((_, settings, _),) = reader(str(path))
    assert settings["units"] == ("pixel", "pixel")


def test_nuclei_without_a_class_get_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px\n1,2\n")
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(UserError, match="class"):
        reader(str(path))


def test_the_manifest_names_every_readable_file() -> None:
    manifest = PluginManifest.from_distribution("napari-muse")
    (reader,) = manifest.contributions.readers or []
    patterns = {p.removeprefix("*") for p in reader.filename_patterns}
    assert patterns == {*SLIDE_SUFFIXES, *NUCLEUS_SUFFIXES, STORE_SUFFIX, MODEL_SUFFIX}
    assert reader.accepts_directories


def test_a_bad_file_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.svs"
    path.write_text("no slide")
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(UserError, match=r"broken\.svs"):
        reader(str(path))


def test_an_image_inside_a_plate_is_told_by_what_is_in_its_folder(
    tmp_path: Path, make_napari_viewer: Callable[..., Any]
) -> None:
    halves = [np.full((200, 300, 3), 230, np.uint8)]
    write_ome_zarr(tmp_path / "plate" / "A" / "1" / "0", halves)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(tmp_path / "plate" / "A" / "1" / "0", plugin="napari-muse")
    assert layer.metadata[SLIDE_KEY].format == "OME-Zarr 0.4"
    assert get_reader(str(tmp_path / "plate")) is None


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_channels_named_like_dyes_are_asked_about(
    tmp_path: Path, make_napari_viewer: Callable[..., Any], qtbot: Any, answer: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    dyes = {"channels": [{"label": n} for n in ("DAPI", "FITC", "Cy5")]}
    path = write_ome_zarr(tmp_path / "f.zarr", [pixels], omero=dyes)
    viewer = make_napari_viewer(show=True)
    asked = []

    def press(box: QWidget) -> None:
        assert isinstance(box, QMessageBox)
        asked.append(box.text())
        button = box.button(getattr(QMessageBox.StandardButton, answer))
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    when_asked(press)
    if answer == "Yes":
        (layer,) = viewer.open(path, plugin="napari-muse")
        assert np.array_equal(np.asarray(layer.data), pixels)
        assert layer.metadata[SLIDE_KEY].choice.channels == "rgb"
    else:
        with pytest.raises(UserError, match="fluorescence"):
            viewer.open(path, plugin="napari-muse")
    assert "f.zarr has 3 channels (DAPI, FITC, Cy5) like a fluorescence image" in asked[0]
