"""Commands on files with several tissue images: none is skipped silently, none mixed."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from muse_core.classify.feature_file import read_features
from muse_core.jobs.results_folder import ResultsFolder, SlideRecord
from muse_core.pretrain.roi_manifest import read_manifest

from ..job_inputs import write_model, write_slide
from .running import error_line, run

Capture = pytest.CaptureFixture[str]
SIZES = ((700, 500), (400, 300))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """two.tif with two images, the same images as one.png and two.png, and a model."""
    root = tmp_path_factory.mktemp("images")
    pictures = []
    for i, (name, size) in enumerate(zip(("one.png", "two.png"), SIZES, strict=True)):
        pictures.append(np.asarray(Image.open(write_slide(root / name, *size, seed=i))))
    with tifffile.TiffWriter(root / "two.tif") as tif:
        for picture in pictures:
            tif.write(picture, photometric="rgb", tile=(128, 128), metadata=None)
    stack = np.stack([np.roll(pictures[1], 40 * i, axis=1) for i in range(3)])
    metadata = {"axes": "ZYXS"}
    tifffile.imwrite(root / "z.ome.tif", stack, photometric="rgb", metadata=metadata, ome=True)
    write_model(root / "m.safetensors")
    return root


def detect(folder: Path, slide: str, out: Path, *more: object) -> int:
    options = ("--model", folder / "m.safetensors", "--device", "cpu", "--mpp", 0.5)
    return run("detect", folder / slide, "--out", out, *options, *more)


def nuclei_in(path: Path) -> str:
    """A CSV without the columns that name the slide."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return str(table.drop(columns=["slide", "slide_content"]).to_csv(index=False))


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[str]:
    """The nuclei found in each image as a separate file."""
    found = []
    for name in ("one", "two"):
        assert detect(folder, f"{name}.png", folder / f"{name}.alone.csv") == 0
        found.append(nuclei_in(folder / f"{name}.alone.csv"))
    return found


def test_one_image_is_taken_and_the_other_named(
    folder: Path, alone: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert detect(folder, "two.tif", tmp_path / "n.csv", "--json") == 0
    printed = capsys.readouterr()
    assert "two.tif holds 2 tissue images; looked at is image 1 (700 x 500 px)" in printed.err
    assert "image 2 (400 x 300 px); choose with --image" in printed.err
    result = json.loads(printed.out)
    assert (result["image"], result["images"]) == (1, 2)
    assert nuclei_in(tmp_path / "n.csv") == alone[0]


def test_an_image_by_its_number(
    folder: Path, alone: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert detect(folder, "two.tif", tmp_path / "n.csv", "--image", 2) == 0
    assert "holds" not in capsys.readouterr().err
    assert nuclei_in(tmp_path / "n.csv") == alone[1]


def test_all_images_have_files_of_their_own(
    folder: Path, alone: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert detect(folder, "two.tif", tmp_path / "n.csv", "--image", "all", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n-image1.csv", "n-image2.csv"]
    for number, text in enumerate(alone, start=1):
        assert nuclei_in(tmp_path / f"n-image{number}.csv") == text
    assert [i["image"] for i in result["images"]] == [1, 2]
    assert result["nuclei"] == sum(i["nuclei"] for i in result["images"])
    # For a file with one image the name is unchanged.
    assert detect(folder, "one.png", tmp_path / "o.csv", "--image", "all") == 0
    assert nuclei_in(tmp_path / "o.csv") == alone[0]


@pytest.mark.parametrize(
    ("slide", "options", "sentence"),
    [
        ("two.tif", ("--image", 3), "there is no image 3"),
        ("two.tif", ("--image", 0), "counts from 1"),
        ("two.tif", ("--image", "both"), "--image takes a number or all"),
        ("two.tif", ("--plane", 2), "is no stack; there is no plane 2"),
        ("one.png", ("--image", 2), "holds one tissue image"),
        ("z.ome.tif", ("--plane", 4), "has 3 planes; there is no plane 4"),
        ("z.ome.tif", ("--plane", 0), "counts from 1"),
        ("one.png", ("--channels", "1,2"), "Channels are"),
    ],
)
@pytest.mark.parametrize("command", ["detect", "info"])
def test_what_is_not_there_is_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: Capture,
    slide: str,
    options: tuple[object, ...],
    sentence: str,
    command: str,
) -> None:
    if command == "detect":
        assert detect(folder, slide, tmp_path / "n.csv", *options) == 2
    else:
        assert run("info", folder / slide, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert sentence in printed.err
    assert not list(tmp_path.iterdir())


def test_all_images_are_checked_before_the_work_of_the_first(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    beside = ("--image", "all", "--region", "600,400,50,50")
    assert detect(folder, "two.tif", tmp_path / "n.csv", *beside) == 2
    assert "Image 2: The region lies outside the slide, which is 400 x 300" in error_line(capsys)
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for side, unit in ((200, "CENTIMETER"), (99, "NONE")):
            pixels = np.random.default_rng(side).integers(99, 200, (side, 99, 3), np.uint8)
            scale = (20_000, 20_000)
            file.write(pixels, photometric="rgb", resolution=scale, resolutionunit=unit)
    for number in (1, 2):
        (tmp_path / f"p-image{number}.csv").write_text("x_px,y_px,class\n10,10,tumor\n")
    asked = ("--image", "all", "--model", folder / "m.safetensors", "--out")
    before = sorted(tmp_path.iterdir())
    assert run("detect", tmp_path / "s.tif", *asked, tmp_path / "n.csv") == 2
    assert "Image 2: The scale of s.tif is unknown" in error_line(capsys)
    features = ("features", tmp_path / "s.tif", "--points", tmp_path / "p.csv", *asked)
    assert run(*features, tmp_path / "f.zarr") == 2
    assert "Image 2: The scale of s.tif is unknown" in error_line(capsys)
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "p-image2.csv").unlink()
    assert run(*features, tmp_path / "f.zarr", "--mpp", 0.5) == 2
    assert "p-image2.csv" in error_line(capsys)


def test_several_images_do_not_fit_into_one_pipe(folder: Path, capsys: Capture) -> None:
    assert detect(folder, "two.tif", Path("/dev/null"), "--image", "all") == 2
    assert "cannot hold" in capsys.readouterr().err


def test_planes_of_a_stack(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    # OpenVINO says so where a processor cannot run it.
    torch = ("--backend", "torch")
    assert detect(folder, "z.ome.tif", tmp_path / "middle.csv", *torch) == 0
    assert "stack of 3 planes; looked at is plane 2, the middle one" in capsys.readouterr().err
    assert detect(folder, "z.ome.tif", tmp_path / "second.csv", "--plane", 2, *torch) == 0
    assert detect(folder, "z.ome.tif", tmp_path / "first.csv", "--plane", 1, *torch) == 0
    assert capsys.readouterr().err == ""
    texts = {n: nuclei_in(tmp_path / f"{n}.csv") for n in ("middle", "second", "first")}
    assert texts["middle"] == texts["second"] != texts["first"]


def test_geojson_names_the_plane_of_a_stack(folder: Path, tmp_path: Path) -> None:
    """QuPath shows what names none in the first plane."""

    def planes_in(name: str) -> set[int | None]:
        content = json.loads((tmp_path / name).read_text())
        planes = [f["geometry"].get("plane") for f in content["features"]]
        assert all(p is None or (p["c"], p["t"]) == (-1, 0) for p in planes)
        return {None if p is None else p["z"] for p in planes}

    for plane in (1, 3):
        assert detect(folder, "z.ome.tif", tmp_path / f"{plane}.geojson", "--plane", plane) == 0
    assert (planes_in("1.geojson"), planes_in("3.geojson")) == ({None}, {2})
    assert run("convert", tmp_path / "3.geojson", tmp_path / "n.parquet") == 0
    assert run("convert", tmp_path / "n.parquet", tmp_path / "back.geojson") == 0
    assert planes_in("back.geojson") == {2}
    # A CSV does not name it; the slide does, of which the middle one is looked at.
    assert detect(folder, "z.ome.tif", tmp_path / "n.csv") == 0
    of_slide = ("--slide", folder / "z.ome.tif")
    assert run("convert", tmp_path / "n.csv", tmp_path / "n.geojson", *of_slide) == 0
    assert planes_in("n.geojson") == {1}


def test_info_lists_them(folder: Path, capsys: Capture) -> None:
    assert run("info", folder / "two.tif") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "image 1     700 x 500 px  (this one)" in lines
    assert "image 2     400 x 300 px" in lines
    assert run("info", folder / "two.tif", "--image", "all", "--json") == 0
    both = json.loads(capsys.readouterr().out)
    assert [(f["image"], f["width_px"], f["height_px"]) for f in both] == [
        (1, 700, 500),
        (2, 400, 300),
    ]
    assert [i["number"] for i in both[0]["images"]] == [1, 2]
    assert run("info", folder / "z.ome.tif", "--plane", 3) == 0
    assert "plane       3 of 3" in capsys.readouterr().out.splitlines()


def test_features_of_each_image(
    folder: Path, alone: list[str], tmp_path: Path, capsys: Capture
) -> None:
    for number, text in enumerate(alone, start=1):
        (tmp_path / f"n-image{number}.csv").write_text(text)
        (tmp_path / f"alone{number}.csv").write_text(text)
    options = ("--model", folder / "m.safetensors", "--device", "cpu", "--mpp", 0.5)
    out, points = tmp_path / "f.zarr", tmp_path / "n.csv"
    images = ("--points", points, "--out", out, "--image", "all", "--json")
    assert run("features", folder / "two.tif", *options, *images) == 0
    result = json.loads(capsys.readouterr().out)
    assert [i["image"] for i in result["images"]] == [1, 2]
    for number, name in ((1, "one.png"), (2, "two.png")):
        single = tmp_path / f"alone{number}.zarr"
        given = ("--points", tmp_path / f"alone{number}.csv", "--out", single)
        assert run("features", folder / name, *options, *given) == 0
        found = read_features(tmp_path / f"f-image{number}.zarr")
        assert found.attributes["image"] == number
        np.testing.assert_array_equal(found.features, read_features(single).features)
    capsys.readouterr()
    one = ("--points", tmp_path / "n-image1.csv", "--out", tmp_path / "g.zarr")
    assert run("features", folder / "two.tif", *options, *one) == 0
    assert "holds 2 tissue images" in capsys.readouterr().err


def test_rois_of_each_image(
    folder: Path, alone: list[str], tmp_path: Path, capsys: Capture
) -> None:
    for number, text in enumerate(alone, start=1):
        (tmp_path / f"two-image{number}.csv").write_text(text)
    out = tmp_path / "rois"
    options = ("--out", out, "--mpp", 0.5, "--roi-mpp", 0.5, "--points", tmp_path)
    assert run("rois", folder / "two.tif", *options) == 0
    assert "holds 2 tissue images" in capsys.readouterr().err
    assert len(read_manifest(out).sources) == 1
    assert run("rois", folder / "two.tif", *options, "--image", "all") == 0
    first, second = read_manifest(out).sources
    assert (first.name, second.name) == ("two.tif [image 1]", "two.tif [image 2]")
    assert first.key != second.key
    for source, (width, height), text in zip((first, second), SIZES, alone, strict=True):
        (roi,) = source.rois
        assert (roi.width_px, roi.height_px) == (width, height)
        assert roi.n_nuclei == len(text.splitlines()) - 1


def test_many_slides_stopped_between_images_are_not_done(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ResultsFolder.keep

    def stop_after_both_images_of_one(self: ResultsFolder, record: SlideRecord) -> None:
        kept(self, record)
        if record.image == 2 and not record.error:
            signal.raise_signal(signal.SIGINT)

    for name in "ab":
        shutil.copy(folder / "two.tif", tmp_path / f"{name}.tif")
    out = tmp_path / "out"
    options = ("--out", out, "--mpp", 0.5, "--model", folder / "m.safetensors")
    command = ("detect", tmp_path / "*.tif", *options)
    with monkeypatch.context() as patch:
        patch.setattr(ResultsFolder, "keep", stop_after_both_images_of_one)
        assert run(*command, "--image", "all") == 130
    said = capsys.readouterr().err
    assert f"[1/2] {tmp_path / 'a.tif'}, image 2: " in said
    assert "nuclei in 2 images of 2 slides; " in said
    assert run(*command, "--image", "all", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["done"], figures["skipped"]) == (4, 2)
