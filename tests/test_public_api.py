"""The names in ``import muse_core as muse``."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import muse_core as muse
from muse_core.nuclei import empty_table, nucleus_table
from muse_core.nuclei.store import SlideIdentity

from .detect.dot_runs import DAMAGED, SMALL_TILES, BrokenReads
from .job_inputs import write_model, write_slide


@pytest.mark.parametrize("name", muse.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(muse, name) is not None
    assert name in dir(muse)


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'detekt'"):
        muse.detekt  # noqa: B018


def test_importing_is_light() -> None:
    code = (
        "import sys, muse_core as muse; muse.UserError;"
        " assert not {'numpy', 'torch', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "first", ["import muse_core.detect.plan", "from muse_core.detect import Detector", "pass"]
)
def test_functions_that_share_their_name_with_a_package_can_be_called(
    first: str, tmp_path: Path
) -> None:
    model, slide = write_model(tmp_path / "m.safetensors"), write_slide(tmp_path / "s.png")
    call = f"muse.detect({str(slide)!r}, {str(model)!r}, 0.5)"
    code = f"{first}\nimport muse_core as muse\nprint(len({call}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 30


def test_a_file_an_open_slide_and_arrays_give_the_same_nuclei(tmp_path: Path) -> None:
    model = muse.load_model(write_model(tmp_path / "m.safetensors"))
    path = write_slide(tmp_path / "s.png")
    of_file = muse.detect(path, model, mpp=0.5)
    with muse.open_slide(path, mpp=0.5) as slide:
        of_slide = muse.detect(slide, model)
        pixels = slide.read(slide.bounds)
    assert len(of_file) > 30
    pd.testing.assert_frame_equal(of_slide, of_file)
    pd.testing.assert_frame_equal(muse.detect(pixels, model, mpp=0.5), of_file)
    first = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    pd.testing.assert_frame_equal(muse.detect(first, model, mpp=0.5), of_file)


def test_a_scale_that_nobody_gave_is_asked_for(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.safetensors")
    path = write_slide(tmp_path / "s.png")
    with muse.open_slide(path) as slide:
        for image in (np.zeros((64, 64, 3), np.uint8), path, slide):
            with pytest.raises(muse.UserError, match=r"is unknown .* in microns per pixel, as mpp"):
                muse.detect(image, model)


def test_of_several_images_it_is_said_which_is_looked_at(tmp_path: Path) -> None:
    model = muse.load_model(write_model(tmp_path / "m.safetensors"))
    pictures = [
        np.asarray(Image.open(write_slide(tmp_path / f"{i}.png", *size, seed=i)))
        for i, size in enumerate(((300, 200), (200, 150)))
    ]
    with tifffile.TiffWriter(tmp_path / "two.tif") as tif:
        for picture in pictures:
            tif.write(picture, photometric="rgb", tile=(128, 128), metadata=None)
    with pytest.warns(UserWarning, match="holds 2 tissue images; looked at is image 1"):
        first = muse.detect(tmp_path / "two.tif", model, mpp=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = muse.detect(tmp_path / "two.tif", model, mpp=0.5, choice=muse.ImageChoice(image=2))
    for found, picture in zip((first, second), pictures, strict=True):
        alone = muse.detect(picture, model, mpp=0.5)
        np.testing.assert_array_equal(found[["x", "y"]], alone[["x", "y"]])


def test_a_choice_that_is_none_or_would_be_passed_over_is_refused(tmp_path: Path) -> None:
    model = muse.load_model(write_model(tmp_path / "m.safetensors"))
    path, number = write_slide(tmp_path / "s.png"), cast(Any, 2)
    for call in (
        lambda: muse.open_slide(path, 0.5, number),
        lambda: muse.detect(path, choice=number),
    ):
        with pytest.raises(muse.UserError, match=r"as in ImageChoice\(image=2\); got 2\.$"):
            call()
    with muse.open_slide(path, mpp=0.5) as slide:
        for image in (slide, slide.read(slide.bounds)):
            with pytest.raises(muse.UserError, match="A choice is of a file"):
                muse.detect(image, model, mpp=0.5, choice=muse.ImageChoice(image=2))


def test_an_empty_name_is_not_the_default_model(tmp_path: Path) -> None:
    with pytest.raises(muse.UserError, match="There is no model ''; the models at hand are"):
        muse.detect(write_slide(tmp_path / "s.png"), "", mpp=0.5)


def test_what_could_not_be_read_is_warned_about(tmp_path: Path) -> None:
    model = muse.load_model(write_model(tmp_path / "m.safetensors"))
    with muse.open_slide(write_slide(tmp_path / "s.png"), mpp=0.5) as slide:
        whole = muse.detect(slide, model, config=SMALL_TILES)
        broken = BrokenReads(slide, muse.Region(200, 100, 100, 200), DAMAGED)
        with pytest.warns(UserWarning, match="could not be read and hold") as told:
            found = muse.detect(broken, model, config=SMALL_TILES)
    assert told[0].filename == __file__
    assert found.attrs["unreadable_px"]
    assert 0 < len(found) < len(whole)


def test_paths_of_other_kinds_and_wrong_regions(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "s.png")

    model = muse.load_model(write_model(tmp_path / "m.safetensors"))
    write_slide(tmp_path / "s.png", 128, 128)
    assert len(muse.detect(Place(), model, mpp=0.5)) > 0
    for region in ((0, 0, 64, 64), "0,0,64,64"):
        with pytest.raises(muse.UserError, match=r"A region is a Region or PolygonRegion, .*not"):
            muse.detect(Place(), model, mpp=0.5, region=region)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", ["cpu", {}, {"device": "cpu"}])
def test_settings_of_another_type_are_refused(config: Any) -> None:
    glass = np.full((64, 64, 3), 255, np.uint8)
    with pytest.raises(muse.UserError, match="The config is a DetectConfig, not"):
        muse.detect(glass, mpp=0.5, config=config)


@pytest.mark.parametrize("path", [None, 3, b"a.png", ["a.png"], io.BytesIO()])
def test_what_is_no_path_is_named(path: Any, tmp_path: Path) -> None:
    kind = type(path).__name__
    table = muse.detect(np.full((64, 64, 3), 255, np.uint8), mpp=0.5)
    for use in (
        muse.open_slide,
        muse.load_model,
        muse.read_nuclei,
        muse.AnnotationStore.open,
        lambda given: muse.write_nuclei(given, table, mpp=0.5),
    ):
        with pytest.raises(muse.UserError, match=f"its path, not by something of type {kind}"):
            use(path)


def test_an_array_given_for_a_path_or_a_model_says_where_it_belongs() -> None:
    glass = np.full((64, 64, 3), 255, np.uint8)
    with pytest.raises(muse.UserError, match="give it to slide_from_arrays, or to detect"):
        muse.open_slide(glass)  # type: ignore[arg-type]
    with pytest.raises(muse.UserError, match="what load_model returns, not a ndarray"):
        muse.detect(glass, glass, mpp=0.5)  # type: ignore[arg-type]
    with pytest.raises(muse.UserError, match="There is no image: None was given"):
        muse.detect(None, mpp=0.5)


def test_names_that_the_system_cannot_have_are_refused() -> None:
    table, classes = empty_table(), muse.ClassScheme.from_names(["tumor"])
    slide = SlideIdentity("s.svs", 1, "0")
    for use in (
        muse.open_slide,
        muse.load_model,
        muse.read_nuclei,
        muse.AnnotationStore.open,
        lambda given: muse.AnnotationStore.create(given, slide, classes),
        lambda given: muse.write_nuclei(given, table, mpp=0.5),
    ):
        with pytest.raises(muse.UserError, match=r"^'a\\x00\.csv' holds a null character"):
            use("a\0.csv")
        with pytest.raises(muse.UserError, match=r"^Cannot \w+ .*a+\.csv: File name too long\.$"):
            use("a" * 300 + ".csv")
    with pytest.raises(muse.UserError, match="is of no format known for nuclei"):
        muse.write_nuclei("a" * 300, table, mpp=0.5)


@pytest.mark.parametrize("given", [3, "tumor", [3], ["tumor", None]])
def test_names_of_classes_are_a_list_of_texts(given: Any) -> None:
    with pytest.raises(muse.UserError, match=r"as a list, not as|is a text, not"):
        muse.ClassScheme.from_names(given)


def test_values_of_another_type_are_named() -> None:
    glass = np.full((64, 64, 3), 255, np.uint8)
    slide, table = muse.slide_from_arrays(glass, mpp=0.5), empty_table()
    odd: Any = 3
    for call, sentence in (
        (lambda: muse.detect(slide, region=odd), "A region is a Region or PolygonRegion, .* not 3"),
        (lambda: muse.detect(slide, region=[]), "No region is given"),
        (lambda: muse.Region(0, 0, cast(Any, "5"), 5), "A region is four numbers in pixels, not"),
        (lambda: muse.PolygonRegion(odd), "at least three vertices of two numbers"),
        (lambda: slide.read(odd), "A slide is read by a Region, .* not by 3"),
        (lambda: muse.ImageChoice(cast(Any, "2")), "image counts from 1, got '2'"),
        (lambda: muse.ImageChoice(channels=odd), 'Channels are a text such as "3,2,1", got 3'),
        (lambda: muse.write_nuclei("n.csv", odd), "Nuclei are a table or .*, not 3"),
        (lambda: muse.write_nuclei("n.csv", table, mpp=cast(Any, "1")), "are one number, not '1'"),
        (lambda: muse.finetune(odd), "given as a FinetuneConfig, not as 3"),
        (lambda: muse.pretrain(odd), "given as a PretrainConfig, not as 3"),
    ):
        with pytest.raises(muse.UserError, match=sentence):
            call()


def test_masked_values_are_not_taken_for_values() -> None:
    glass = np.ma.masked_array(np.zeros((64, 64, 3), np.uint8), mask=False)
    assert muse.slide_from_arrays(glass).read(muse.Region(0, 0, 1, 1)).max() == 0
    glass[3, 4] = np.ma.masked
    for image in (glass, da.from_array(glass)):
        with pytest.raises(muse.UserError, match=r"has masked pixels; numpy\.ma\.filled"):
            muse.slide_from_arrays(image)
    with pytest.raises(muse.UserError, match="a coordinate that is not a number"):
        nucleus_table(np.ma.masked_array([1.0, 2.0], mask=[False, True]), [1, 2], "a")


def test_an_open_slide_stays_in_its_process(tmp_path: Path) -> None:
    with muse.open_slide(write_slide(tmp_path / "s.png"), mpp=0.5) as slide:
        for send in (pickle.dumps, copy.deepcopy):
            with pytest.raises(muse.UserError, match=r"slide s\.png cannot be copied or sent"):
                send(slide)
