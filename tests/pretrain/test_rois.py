from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from muse_core.errors import UserError
from muse_core.pretrain.roi_manifest import (
    MANIFEST_NAME,
    Roi,
    RoiManifest,
    RoiSettings,
    RoiSource,
    open_roi_folder,
    read_manifest,
)
from muse_core.pretrain.rois import cut_slide, roi_regions
from muse_core.slides import Region, Slide, open_slide, tissue_mask

from ..damaged_slide import write_damaged
from ..job_inputs import write_slide

SETTINGS = RoiSettings(roi_px=300, mpp=0.5)


@pytest.fixture
def slide(tmp_path: Path) -> Slide:
    return open_slide(write_slide(tmp_path / "slide.png"), mpp=0.5)


def _corner_points(
    rgb: npt.NDArray[np.uint8], mpp: float, region: Region
) -> npt.NDArray[np.float32]:
    return np.array([[1.5, 2.5], [rgb.shape[1] - 0.5, 7.0]], dtype=np.float32)


def test_rois_part_the_slide_evenly_and_pixels_and_points_are_those_of_the_slide(
    slide: Slide, tmp_path: Path
) -> None:
    out = tmp_path / "rois"
    manifest = cut_slide(slide, out, open_roi_folder(out, SETTINGS), _corner_points)
    assert manifest is not None
    assert manifest == read_manifest(out)
    rois = manifest.rois
    assert {(r.width_px, r.height_px) for r in rois} <= {(233, 250), (234, 250)}
    assert sum(r.width_px * r.height_px for r in rois) == 700 * 500
    assert sum(r.area_um2 for r in rois) == 350 * 250, "half a micron a pixel"
    for roi in rois:
        with open_slide(out / roi.file) as cut:
            assert cut.mpp == pytest.approx(0.5, rel=1e-4), "the file itself says its scale"
            pixels = cut.read(cut.bounds).astype(float)
        region = Region(roi.x_px, roi.y_px, roi.width_px, roi.height_px)
        assert np.abs(pixels - slide.read(region)).mean() < 4, "JPEG, but the same place"
        points = np.load((out / roi.file).with_suffix(".npy"))
        np.testing.assert_array_equal(points[1], [roi.width_px - 0.5, 7.0])
        assert roi.n_nuclei == 2


def test_a_finer_slide_is_reduced_and_a_coarser_one_kept(slide: Slide, tmp_path: Path) -> None:
    for wanted, mpp, width in ((1.0, 1.0, 350), (0.25, 0.5, 700)):
        out = tmp_path / str(wanted)
        settings = RoiSettings(roi_px=1000, mpp=wanted)
        manifest = cut_slide(slide, out, open_roi_folder(out, settings), _corner_points)
        assert manifest is not None
        (roi,) = manifest.rois
        assert (roi.mpp, roi.width_px) == (mpp, width)


def test_a_roi_of_which_a_part_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    write_damaged(tmp_path / "d.tif", write_slide(tmp_path / "whole.png"), 100, 100, 0.5)
    with open_slide(tmp_path / "d.tif") as slide:
        out = tmp_path / "rois"
        cut_slide(slide, out, open_roi_folder(out, SETTINGS), _corner_points)
    (source,) = read_manifest(out).sources
    assert len(source.rois) == 5
    assert all((roi.x_px, roi.y_px) != (0, 0) for roi in source.rois)
    (why,) = source.left_out
    assert why.startswith("ROI 0,0: d.tif is damaged")
    assert len(list(out.glob("*/*.tif"))) == 5


def test_glass_is_left_out(tmp_path: Path) -> None:
    tissue = np.asarray(Image.open(write_slide(tmp_path / "t.png", 256, 256)))
    glass = np.full((256, 512, 3), 245, np.uint8)
    glass[:, :256] = tissue
    Image.fromarray(glass).save(tmp_path / "half.png")
    slide = open_slide(tmp_path / "half.png", mpp=1.0)
    settings = RoiSettings(roi_px=128, mpp=1.0, min_tissue=0.5)
    lefts = {region.x for region in roi_regions(slide, tissue_mask(slide), settings)}
    assert lefts == {0.0, 128.0}


def test_a_cancelled_cut_goes_on_without_doing_anything_twice(slide: Slide, tmp_path: Path) -> None:
    out = tmp_path / "rois"
    calls: list[Region] = []

    def find(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
        calls.append(region)
        return np.zeros((0, 2), np.float32)

    asked = iter(range(100))
    manifest = open_roi_folder(out, SETTINGS)
    cancelled = cut_slide(slide, out, manifest, find, should_cancel=lambda: next(asked) >= 2)
    assert cancelled is None
    assert read_manifest(out).rois == (), "only whole slides count"
    finished = cut_slide(slide, out, open_roi_folder(out, SETTINGS), find)
    assert finished is not None
    assert len(calls) == len(set(calls)) == len(finished.rois) == 6
    assert cut_slide(slide, out, finished, find) == finished
    assert len(calls) == 6


def test_slides_that_differ_in_their_content_alone_are_cut_both(tmp_path: Path) -> None:
    out = tmp_path / "rois"
    manifest = open_roi_folder(out, SETTINGS)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        pixels = np.full((300, 300, 3), 120 if folder == "a" else 130, np.uint8)
        pixels[..., 0] = 200
        # Without compression, so that the files have the same size.
        Image.fromarray(pixels).save(tmp_path / folder / "slide.tif")
        with open_slide(tmp_path / folder / "slide.tif", mpp=0.5) as slide:
            longer = cut_slide(slide, out, manifest, _corner_points)
        assert longer is not None
        manifest = longer
    first, second = manifest.sources
    assert first.name == second.name
    assert not {roi.file for roi in first.rois} & {roi.file for roi in second.rois}
    assert len(first.rois) == len(second.rois) == 1


def test_a_slide_is_cut_once_whatever_its_name(slide: Slide, tmp_path: Path) -> None:
    folder = tmp_path / "rois"
    once = cut_slide(slide, folder, open_roi_folder(folder, SETTINGS), _corner_points)
    assert once is not None
    copy = shutil.copy(tmp_path / "slide.png", tmp_path / "case 7.png")
    with open_slide(copy, mpp=0.5) as renamed:
        assert cut_slide(renamed, folder, once, _corner_points) == once
    with open_slide(copy, mpp=0.4) as other_scale:
        twice = cut_slide(other_scale, folder, once, _corner_points)
    assert twice is not None
    assert [source.name for source in twice.sources] == ["slide.png", "case 7.png"]


def test_other_settings_need_another_folder(tmp_path: Path) -> None:
    open_roi_folder(tmp_path, SETTINGS)
    with pytest.raises(UserError, match="other settings"):
        open_roi_folder(tmp_path, RoiSettings(roi_px=400, mpp=0.5))


@pytest.mark.parametrize("file", ["../x.tif", "/x.tif", "a/../../x.tif", "c:\\x.tif"])
def test_a_manifest_cannot_lead_out_of_its_folder(file: str) -> None:
    with pytest.raises(UserError, match="outside"):
        Roi(file, 10, 10, 0.5, 0, 0, 1, 0)


def test_a_damaged_manifest_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="muse rois"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text(json.dumps({"format_version": 1, "sources": 3}))
    with pytest.raises(UserError, match="not a manifest"):
        read_manifest(tmp_path)
    manifest = RoiManifest(
        SETTINGS, (RoiSource("s", "k", 0.5, (Roi("a", 9, 9, 0.5, 0, 0, 1, 0),)),)
    )
    manifest.write(tmp_path)
    path = tmp_path / MANIFEST_NAME
    path.write_text(path.read_text().replace('"width_px": 9', '"width_px": 1e999'))
    with pytest.raises(UserError, match="not a manifest"):
        read_manifest(tmp_path)


def test_a_real_slide_gives_rois(cmu_slide: Path, tmp_path: Path) -> None:
    with open_slide(cmu_slide) as slide:
        manifest = cut_slide(
            slide, tmp_path, open_roi_folder(tmp_path, RoiSettings()), _corner_points
        )
    assert manifest is not None
    assert len(manifest.rois) == 4
    assert {round(r.mpp, 3) for r in manifest.rois} == {0.499}


def test_no_rois_of_two_slides_lie_under_one_name(slide: Slide, tmp_path: Path) -> None:
    out, other = tmp_path / "rois", write_slide(tmp_path / "other.png", seed=1)

    def replace(done: int, total: int, message: str) -> None:
        if done == 1:
            other.replace(slide.path)

    with pytest.raises(UserError, match=r"^slide.png was changed or replaced while it was read"):
        cut_slide(slide, out, open_roi_folder(out, SETTINGS), _corner_points, replace)
    assert read_manifest(out).rois == ()
    assert not list(out.rglob("*.tif"))
