"""OME-Zarr of several images: plates, scenes, archives."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, can_open, open_slide

from ..slide_files import write_ome_zarr


def write_group(folder: Path, version: str, **metadata: Any) -> None:
    group = zarr.open_group(str(folder), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(metadata if version == "0.4" else {"ome": {"version": "0.5", **metadata}})


def write_plate(folder: Path, halves: list[np.ndarray], version: str) -> Any:
    """A plate of two wells with two fields each, and one that was never imaged."""
    wells = [{"path": p, "rowIndex": 0, "columnIndex": i} for i, p in enumerate(("A/1", "A/2"))]
    wells.append({"path": "B/1", "rowIndex": 1, "columnIndex": 0})
    rows = [{"name": "A"}, {"name": "B"}]
    plate = {"columns": [{"name": "1"}, {"name": "2"}], "rows": rows, "wells": wells}
    write_group(folder, version, plate=plate)
    for i, well in enumerate(("A/1", "A/2")):
        write_group(folder / well, version, well={"images": [{"path": "0"}, {"path": "1"}]})
        for j in range(2):
            field = [np.roll(level, 5 * (2 * i + j), axis=0) for level in halves]
            write_ome_zarr(folder / well / str(j), field, version)
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_fields_of_a_plate(tmp_path: Path, halves: list[np.ndarray], version: str) -> None:
    path = write_plate(tmp_path / "p.zarr", halves, version)
    with open_slide(path) as slide:
        assert [i.name for i in slide.images] == ["A/1/0", "A/1/1", "A/2/0", "A/2/1"]
        assert [i.number for i in slide.images] == [1, 2, 3, 4]
        assert "p.zarr holds 4 tissue images; looked at is image 1 (A/1/0" in slide.notes[0]
        assert slide.mpp == 0.5
    with open_slide(path, choice=ImageChoice(3)) as slide:
        assert slide.part == "image=3"
        assert np.array_equal(slide.levels[1].compute(), np.roll(halves[1], 10, axis=0))
    # An image and a well inside are recognised by content, not by name.
    with open_slide(path / "A" / "2" / "1") as slide:
        assert slide.n_images == 1
        assert np.array_equal(slide.levels[0].compute(), np.roll(halves[0], 15, axis=0))
    with open_slide(path / "A" / "2", choice=ImageChoice(2)) as slide:
        assert np.array_equal(slide.levels[0].compute(), np.roll(halves[0], 15, axis=0))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_images_of_a_store_of_spatialdata_are_named(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    path = tmp_path / "s.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.attrs["spatialdata_attrs"] = {"version": "0.1"}
    for name in ("images", "labels", "points"):
        group.create_group(name)
    with pytest.raises(UserError, match="without OME-Zarr image metadata"):
        open_slide(path)
    write_ome_zarr(path / "images" / "he", halves, version)
    write_ome_zarr(path / "images" / "dapi", halves, version)
    with pytest.raises(UserError, match="holds images/dapi, images/he; open one of these"):
        open_slide(path)
    with open_slide(path / "images" / "he") as slide:
        assert slide.mpp == 0.5


@pytest.mark.parametrize("inside", [False, True])
def test_a_group_that_lists_several_images(
    tmp_path: Path, halves: list[np.ndarray], inside: bool
) -> None:
    path = tmp_path / "g.zarr"
    if inside:
        write_group(path, "0.4")
    group = write_ome_zarr(path / "0" if inside else path, halves)
    attributes: Any = zarr.open_group(str(group), mode="a").attrs
    (first,) = attributes["multiscales"]
    again = {**first, "name": "other levels of the same pixels"}
    second = {**first, "name": "second", "datasets": [{**first["datasets"][1], "path": "1"}]}
    attributes["multiscales"] = [first, second, again]
    with open_slide(path) as slide:
        assert [i.name for i in slide.images] == (
            ["0/0", "0/second"] if inside else ["0", "second"]
        )
        assert "g.zarr holds 2 tissue images; looked at is image 1 (0" in slide.notes[0]
        assert np.array_equal(slide.levels[1].compute(), halves[1])
    with open_slide(path, choice=ImageChoice(2)) as slide:
        assert len(slide.levels) == 1
        assert np.array_equal(slide.levels[0].compute(), halves[1])


XML = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Image ID="Image:0" Name="Scan 1"/><Image ID="Image:1" Name="Scan 2"/>
<Image ID="Image:2" Name="label image"/><Image ID="Image:3" Name="macro image"/></OME>"""


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("with_names", [True, False])
def test_scenes_of_bioformats2raw(
    tmp_path: Path, halves: list[np.ndarray], version: str, with_names: bool
) -> None:
    path = tmp_path / "b.zarr"
    write_group(path, version, **{"bioformats2raw.layout": 3})
    if with_names:
        write_group(path / "OME", version, series=["0", "1", "2", "3"])
        (path / "OME" / "METADATA.ome.xml").write_text(XML)
    second = [level[::-1] for level in halves]
    sizes = (halves, second, [halves[2][:60, :50]], [halves[2][:40, :90]])
    for i, levels in enumerate(sizes[: 4 if with_names else 2]):
        write_ome_zarr(path / str(i), levels, version, axes="tczyx")
    with open_slide(path) as slide:
        assert slide.n_images == 2
        names = ["Scan 1", "Scan 2", "label image", "macro image"]
        assert [i.name for i in slide.images] == (names if with_names else ["0", "1"])
        assert slide.associated == (("label image", "macro image") if with_names else ())
        assert np.array_equal(slide.levels[0].compute(), halves[0])
    with open_slide(path, choice=ImageChoice(2)) as slide:
        assert np.array_equal(slide.levels[2].compute(), second[2])
    with open_slide(path / "1") as slide:
        assert np.array_equal(slide.levels[0].compute(), second[0])


def test_segmentations_are_no_images(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves)
    labels = path / "labels" / "nuclei"
    write_group(path / "labels", "0.4", labels=["nuclei"])
    write_ome_zarr(labels, halves)
    zarr.open_group(str(labels), mode="a").attrs["image-label"] = {"version": "0.4"}
    with open_slide(path) as slide:
        assert slide.n_images == 1
    with pytest.raises(UserError, match="labels is a Zarr folder without OME-Zarr image"):
        open_slide(path / "labels")
    with pytest.raises(UserError, match="nuclei is a segmentation"):
        open_slide(labels)


def zipped(folder: Path, path: Path, inside: str = "") -> Any:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, f"{inside}{file.relative_to(folder).as_posix()}")
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("name", "inside"), [("s.zarr.zip", ""), ("s.ozx", "s.ome.zarr/")])
def test_in_a_zip_archive(
    tmp_path: Path, halves: list[np.ndarray], version: str, name: str, inside: str
) -> None:
    folder = write_ome_zarr(tmp_path / "s", halves, version)
    path = zipped(folder, tmp_path / name, inside)
    assert can_open(path)
    with open_slide(path) as slide:
        assert (slide.format, slide.mpp) == (f"OME-Zarr {version}", 0.5)
        for level, stored in zip(slide.levels, halves, strict=True):
            assert np.array_equal(level.compute(), stored)
    bare = write_ome_zarr(tmp_path / "bare", halves, version)
    for entry in (bare / "0").iterdir():
        if entry.name not in (".zarray", ".zattrs", "zarr.json"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with pytest.raises(UserError, match=r"incomplete"):
        open_slide(zipped(bare, tmp_path / "bare.zip", inside))


def test_scenes_in_a_zip_archive(tmp_path: Path, halves: list[np.ndarray]) -> None:
    folder = tmp_path / "b"
    write_group(folder, "0.4", **{"bioformats2raw.layout": 3})
    second = [level[::-1] for level in halves]
    for i, levels in enumerate((halves, second)):
        write_ome_zarr(folder / str(i), levels)
    with open_slide(zipped(folder, tmp_path / "b.zarr.zip"), choice=ImageChoice(2)) as slide:
        assert slide.n_images == 2
        assert np.array_equal(slide.levels[1].compute(), second[1])


def test_archives_without_an_image_or_with_a_bomb(
    tmp_path: Path, halves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("nothing")
    path = zipped(tmp_path / "d", tmp_path / "d.zip")
    assert not can_open(path)
    with pytest.raises(UserError, match=r"^d.zip is a zip archive without an OME-Zarr"):
        open_slide(path)
    folder = write_ome_zarr(tmp_path / "s", halves)
    whole = zipped(folder, tmp_path / "s.zip")
    for name in ("cut.zip", "cut.zarr.zip", "cut.ozx"):
        (tmp_path / name).write_bytes(whole.read_bytes()[:5000])
        with pytest.raises(UserError, match=rf"^{name} is a zip archive that is damaged or trunc"):
            open_slide(tmp_path / name)
    monkeypatch.setattr("muse_core.slides.ome_zarr.zip_store._LARGEST_ENTRY", 1000)
    with pytest.raises(UserError, match="too large to unpack"):
        open_slide(whole)
