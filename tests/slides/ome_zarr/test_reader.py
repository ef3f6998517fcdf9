from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr.writer import write_image

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, can_open, open_slide

from ..slide_files import write_ome_zarr


@pytest.mark.parametrize(("version", "file"), [("0.4", ".zarray"), ("0.5", "zarr.json")])
def test_a_codec_that_is_not_there_is_named(
    tmp_path: Path, halves: list[np.ndarray], version: str, file: str
) -> None:
    path = write_ome_zarr(tmp_path / "z.zarr", halves, version)
    facts = json.loads((path / "0" / file).read_text())
    if version == "0.4":
        facts["compressor"] = {"id": "acme_jpegxl"}
    else:
        facts["codecs"].append({"name": "acme_jpegxl", "configuration": {}})
    (path / "0" / file).write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"z\.zarr is compressed with acme_jpegxl, which"):
        open_slide(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx", "zyxc"])
def test_versions_and_axes(
    tmp_path: Path, halves: list[np.ndarray], version: str, axes: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version, axes)
    with open_slide(path) as slide:
        assert slide.format == f"OME-Zarr {version}"
        assert slide.mpp == pytest.approx(0.5)
        assert slide.downsamples == (1.0, 2.0, 4.0)
        for level, stored in zip(slide.levels, halves, strict=True):
            assert np.array_equal(level.compute(), stored)


@pytest.mark.parametrize(("version", "axes"), [("0.1", "tczyx"), ("0.2", "tczyx"), ("0.3", "cyx")])
def test_earlier_versions_have_pixels_and_no_scale(
    tmp_path: Path, halves: list[np.ndarray], version: str, axes: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.4", axes)
    group = zarr.open_group(str(path), mode="r+")
    named = {"axes": list(axes)} if version == "0.3" else {}
    datasets = [{"path": str(i)} for i in range(len(halves))]
    group.attrs["multiscales"] = [{"version": version, "datasets": datasets, **named}]
    with open_slide(path) as slide:
        assert slide.format == f"OME-Zarr {version}"
        assert slide.mpp is None
        assert slide.downsamples == (1.0, 2.0, 4.0)
        for level, stored in zip(slide.levels, halves, strict=True):
            assert np.array_equal(level.compute(), stored)


@pytest.mark.parametrize("axes", ["yx", "zcyx", None])
def test_axes_that_do_not_fit_are_said(
    tmp_path: Path, halves: list[np.ndarray], axes: str | None
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.4", "cyx")
    group = zarr.open_group(str(path), mode="r+")
    named = {} if axes is None else {"axes": list(axes)}
    group.attrs["multiscales"] = [{"version": "0.3", "datasets": [{"path": "0"}], **named}]
    with pytest.raises(UserError, match=r"is damaged: its axes .* do not fit its array"):
        open_slide(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_written_by_ome_zarr(tmp_path: Path, picture: np.ndarray, zarr_format: int) -> None:
    path = tmp_path / "w.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if zarr_format == 2 else 3)
    write_image(
        picture.transpose(2, 0, 1),
        group,
        axes="cyx",
        scale={"y": 0.00025, "x": 0.00025},
        axes_units={"y": "millimeter", "x": "millimeter"},
        scale_factors=[2, 4],
    )
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert np.array_equal(slide.read(slide.bounds), picture)


@pytest.mark.parametrize(
    ("unit", "note"),
    [
        (None, "its metadata state a scale without a unit"),
        ("pixel", "its metadata state a scale in pixel, which is no length"),
    ],
)
def test_without_a_unit_of_length_there_is_no_scale(
    tmp_path: Path, halves: list[np.ndarray], unit: str | None, note: str
) -> None:
    with open_slide(write_ome_zarr(tmp_path / "s.zarr", halves, unit=unit)) as slide:
        assert slide.mpp is None
        assert slide.mpp_note == note


def test_bioformats_layout(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = tmp_path / "b.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(path / "0", halves, axes="tczyx")
    with open_slide(path) as slide:
        assert np.array_equal(slide.levels[1].compute(), halves[1])


def test_gray(tmp_path: Path, halves: list[np.ndarray]) -> None:
    gray = [level[:, :, :1] for level in halves]
    with open_slide(write_ome_zarr(tmp_path / "g.zarr", gray, axes="yxc")) as slide:
        assert np.array_equal(slide.levels[0].compute(), np.repeat(gray[0], 3, axis=2))


def test_fluorescence_and_deep_pixels_are_refused(tmp_path: Path, halves: list[np.ndarray]) -> None:
    stained = {"channels": [{"label": n, "color": "FF0000"} for n in ("DAPI", "CD3", "CD8")]}
    with pytest.raises(UserError, match=r"f.zarr .*DAPI"):
        open_slide(write_ome_zarr(tmp_path / "f.zarr", halves, omero=stained))
    rgb = {"channels": [{"label": n} for n in ("Red", "Green", "Blue")]}
    open_slide(write_ome_zarr(tmp_path / "r.zarr", halves, omero=rgb)).close()
    two = [level[:, :, :2] for level in halves]
    with pytest.raises(UserError, match="2 channels"):
        open_slide(write_ome_zarr(tmp_path / "t.zarr", two))
    path = write_ome_zarr(tmp_path / "d.zarr", halves)
    group = zarr.open_group(str(path), mode="a")
    group.create_array("0", shape=(3, 8, 8), dtype="i2", chunks=(3, 8, 8), overwrite=True)
    with pytest.raises(UserError, match="int16"):
        open_slide(path)


def test_folders_that_are_no_ome_zarr(tmp_path: Path, halves: list[np.ndarray]) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(UserError, match=r"empty.zarr is not a readable OME-Zarr"):
        open_slide(tmp_path / "empty.zarr")
    zarr.open_group(str(tmp_path / "plain.zarr"), mode="w")
    with pytest.raises(UserError, match=r"plain.zarr .*without OME-Zarr"):
        open_slide(tmp_path / "plain.zarr")
    (tmp_path / "file.zarr").write_text("no folder")
    with pytest.raises(UserError, match=r"file.zarr is a file"):
        open_slide(tmp_path / "file.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"folder is a folder without an OME-Zarr in it"):
        open_slide(tmp_path / "folder")


@pytest.mark.parametrize("chunks", [(1, 1), (1, 300), (300, 1)])
def test_many_tiny_chunks_are_refused(
    tmp_path: Path,
    halves: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    chunks: tuple[int, int],
) -> None:
    monkeypatch.setattr("muse_core.slides.ome_zarr.reader._MAX_SMALL_CHUNKS", 200)
    path = write_ome_zarr(tmp_path / "s.zarr", halves)
    group = zarr.open_group(str(path), mode="a")
    group.create_array("0", shape=(3, 300, 300), dtype="u1", chunks=(3, *chunks), overwrite=True)
    with pytest.raises(UserError, match=f"s.zarr is stored in chunks of {chunks[1]} x {chunks[0]}"):
        open_slide(path)


def test_a_coarse_level_may_have_tiny_chunks(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves)
    group = zarr.open_group(str(path), mode="a")
    planes = halves[2].transpose(2, 0, 1)
    small: dict[str, Any] = {
        "shape": planes.shape,
        "dtype": "u1",
        "chunks": (3, 8, 8),
        "overwrite": True,
    }
    group.create_array("2", **small)[...] = planes
    with open_slide(path) as slide:
        assert np.array_equal(slide.levels[2].compute(), halves[2])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_damaged(tmp_path: Path, halves: list[np.ndarray], version: str) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    (path / ".zattrs" if version == "0.4" else path / "zarr.json").write_text("{broken")
    with pytest.raises(UserError, match=r"s.zarr"):
        open_slide(path)

    path = write_ome_zarr(tmp_path / "chunk.zarr", halves, version)
    chunk = next(
        p for p in sorted((path / "0").rglob("*")) if p.is_file() and p.stat().st_size > 5000
    )
    chunk.write_bytes(chunk.read_bytes()[:2000])
    with open_slide(path) as slide, pytest.raises(UserError, match=r"chunk.zarr is damaged"):
        slide.read(slide.bounds)

    path = write_ome_zarr(tmp_path / "bare.zarr", halves, version)
    for entry in (path / "0").iterdir():
        if entry.name not in (".zarray", ".zattrs", "zarr.json"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with pytest.raises(UserError, match=r"bare.zarr is incomplete"):
        open_slide(path)


@pytest.mark.parametrize("axes", ["yxc", "tzyxc"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_transparent_is_white_at_every_level(
    tmp_path: Path, halves: list[np.ndarray], version: str, axes: str
) -> None:
    clear = []
    for level in halves:
        rgba = np.dstack([level, np.full(level.shape[:2], 255, np.uint8)])
        rgba[:, : level.shape[1] // 2] = 0
        clear.append(rgba)
    with open_slide(write_ome_zarr(tmp_path / "a.zarr", clear, version, axes)) as slide:
        for lazy, stored in zip(slide.levels, halves, strict=True):
            read, half = lazy.compute(), stored.shape[1] // 2
            assert (read[:, :half] == 255).all()
            assert np.array_equal(read[:, half:], stored[:, half:])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_in_any_order(tmp_path: Path, halves: list[np.ndarray], version: str) -> None:
    folder = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    group = zarr.open_group(str(folder), mode="r+")
    attributes: dict[str, Any] = dict(group.attrs)
    (attributes if version == "0.4" else attributes["ome"])["multiscales"][0]["datasets"].reverse()
    group.attrs.put(attributes)
    with open_slide(folder) as slide:
        assert slide.mpp == 0.5
        assert [level.shape for level in slide.levels] == [half.shape for half in halves]
        assert np.array_equal(slide.read(slide.bounds), halves[0])


def test_a_scale_that_is_no_number_is_no_scale(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, scale_um="0,5")
    with open_slide(path) as slide:
        assert slide.mpp == 0.5


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_file_managers_leave_inside_changes_nothing(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    for folder in (path, *(p for p in path.rglob("*") if p.is_dir())):
        for name in (".DS_Store", "._.zattrs", "._zarr.json", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"nothing of the kind")
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert np.array_equal(slide.levels[0].compute(), halves[0])


def test_pixels_are_missing_where_there_is_litter_alone(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.4")
    first = path / "0"
    for item in [p for p in first.iterdir() if p.name != ".zarray"]:
        shutil.rmtree(item) if item.is_dir() else item.unlink()
    (first / ".DS_Store").touch()
    with pytest.raises(UserError, match="no pixels"):
        open_slide(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_folder_is_told_by_what_is_in_it(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    path = write_ome_zarr(tmp_path / "no ending", halves, version)
    assert can_open(path)
    assert not can_open(tmp_path)
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 2.0, 4.0)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["zcyx", "tzyxc"])
def test_planes(tmp_path: Path, picture: np.ndarray, version: str, axes: str) -> None:
    path = write_ome_zarr(tmp_path / "z.zarr", [picture], version, "cyx")
    group = zarr.open_group(str(path), mode="a")
    stack = np.stack([np.roll(picture, 9 * i, axis=0) for i in range(5)])
    order = [("tzyxc").index(a) for a in axes]
    full = stack[None].transpose([*[i for i in range(5) if i not in order], *order])
    full = full.reshape([n for n, a in zip(full.shape[-len(axes) :], axes, strict=True)])
    chunks = tuple(100 if a in "yx" else 1 for a in axes)
    array = group.create_array("0", shape=full.shape, dtype="u1", chunks=chunks, overwrite=True)
    array[...] = full
    kinds = {"t": "time", "z": "space", "y": "space", "x": "space", "c": "channel"}
    multiscale: dict[str, Any] = {
        "version": "0.4",
        "axes": [{"name": a, "type": kinds[a]} for a in axes],
        "datasets": [{"path": "0"}],
    }
    if version == "0.4":
        group.attrs["multiscales"] = [multiscale]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    with open_slide(path) as slide:
        assert (slide.image.planes, slide.plane, slide.part) == (5, 3, "")
        assert np.array_equal(slide.levels[0].compute(), stack[2])
    with open_slide(path, choice=ImageChoice(plane=1)) as slide:
        assert np.array_equal(slide.levels[0].compute(), stack[0])


def test_names_of_channels_and_the_users_word(tmp_path: Path, halves: list[np.ndarray]) -> None:
    def named(name: str, *labels: Any) -> Any:
        return write_ome_zarr(
            tmp_path / name, halves, omero={"channels": [{"label": n} for n in labels]}
        )

    with open_slide(named("b.zarr", "Blue", "Green", "Red")) as slide:
        assert np.array_equal(slide.levels[0].compute(), halves[0][:, :, ::-1])
    stained = named("s.zarr", "DAPI", "FITC", "Cy5")
    with open_slide(stained, choice=ImageChoice(channels="rgb")) as slide:
        assert np.array_equal(slide.levels[0].compute(), halves[0])
    with open_slide(stained, choice=ImageChoice(channels="3,1,2")) as slide:
        assert np.array_equal(slide.levels[1].compute(), halves[1][:, :, [2, 0, 1]])
    with open_slide(stained, choice=ImageChoice(channels="2")) as slide:
        assert np.array_equal(slide.levels[0][:, :, 0].compute(), halves[0][:, :, 1])


def test_alpha_among_the_channels(tmp_path: Path, halves: list[np.ndarray]) -> None:
    clear = [np.dstack([level, np.zeros(level.shape[:2], np.uint8)]) for level in halves]
    for level in clear:
        level[: len(level) // 2, :, 3] = 255
    labels = [{"label": n} for n in ("red", "green", "blue", "alpha")]
    path = write_ome_zarr(tmp_path / "a.zarr", clear, omero={"channels": labels})
    with open_slide(path) as slide:
        read, half = slide.levels[0].compute(), len(halves[0]) // 2
        assert np.array_equal(read[:half], halves[0][:half])
        assert (read[half:] == 255).all()


@pytest.mark.parametrize("spelled", ["rgb", "RGB", "r,g,b", "1,2,3", "rgba", "1,2,3,4"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(
    "names", [None, ("Channel 0", "Channel 1", "Channel 2", "Channel 3"), ("R", "G", "B", "A")]
)
def test_glass_is_white_however_the_channels_are_asked_for(
    tmp_path: Path, halves: list[np.ndarray], names: Any, dtype: str, spelled: str
) -> None:
    clear = [np.dstack([level, np.full(level.shape[:2], 255, np.uint8)]) for level in halves]
    for level in clear:
        level[len(level) // 2 :] = 0
    stored = [level.astype(dtype) * (257 if dtype == "u2" else 1) for level in clear]
    omero = {"channels": [{"label": n} for n in names]} if names else None
    path = write_ome_zarr(tmp_path / "a.zarr", stored, axes="cyx", omero=omero)
    with open_slide(path, choice=ImageChoice(channels=spelled)) as slide:
        read, half = slide.levels[0].compute(), len(halves[0]) // 2
        assert np.array_equal(read[:half], halves[0][:half])
        assert (read[half:] == 255).all()


def test_a_fourth_channel_that_is_no_alpha_is_left_out(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    dye = [np.minimum(rng.exponential(30, level.shape[:2]), 255).astype("u1") for level in halves]
    for fourth in (dye, [np.zeros_like(plane) for plane in dye]):
        four = [np.dstack(both) for both in zip(halves, fourth, strict=True)]
        path = write_ome_zarr(tmp_path / f"{fourth[0].max()}.zarr", four, axes="cyx")
        with open_slide(path, choice=ImageChoice(channels="rgb")) as slide:
            assert np.array_equal(slide.levels[0].compute(), halves[0])


def test_signed_pixels_are_refused_by_their_type(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", [level.astype(np.int16) for level in halves])
    with pytest.raises(UserError, match="type int16; only unsigned ones of 8 and 16 bits"):
        open_slide(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_level_alone_is_no_image_but_an_array(
    tmp_path: Path, halves: list[np.ndarray], version: str
) -> None:
    """As it is chosen in a file dialog that shows what is in the folder of a slide."""
    path = write_ome_zarr(tmp_path / "s.zarr", halves, version)
    with pytest.raises(UserError, match=r"^0 is an array of Zarr, .* open the OME-Zarr"):
        open_slide(path / "0")
