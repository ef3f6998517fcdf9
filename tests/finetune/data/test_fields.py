from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile

from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.finetune import LabelSet, StoreSource, UnlabeledSource
from muse_core.finetune.data.field_data import load_fields
from muse_core.finetune.data.fields import fields_of_images, read_fields
from muse_core.finetune.data.stores import (
    fields_of_stores,
    find_slide,
    read_stores,
    summary_of,
)
from muse_core.finetune.data.unlabeled import read_unlabeled
from muse_core.nuclei import ClassScheme, NucleusClass, nucleus_table
from muse_core.nuclei.reviewed import reviewed_fields
from muse_core.nuclei.store import AnnotationStore, identify_slide
from muse_core.slides import Region, open_slide

from ...damaged_slide import write_damaged
from ...job_inputs import write_points_folder
from ..annotated import MPP, disc_slide, reviewed_store, square, store_beside, store_run

RADIUS_PX = 6  # 3 um at 0.5 um/px


def test_a_field_holds_what_was_reviewed_and_its_surroundings(tmp_path: Path) -> None:
    path = reviewed_store(tmp_path, [(120, 150, 120)])
    contents = read_stores([StoreSource(path, mpp=MPP)])
    (field,) = fields_of_stores(contents, MPP, margin_px=40, correction_weight=2.0)
    assert field.image.shape == (200, 200, 3)
    with open_slide(tmp_path / "slide0.png", mpp=MPP) as slide:
        whole = np.asarray(slide.levels[0])
    np.testing.assert_array_equal(field.image, whole[110:310, 80:280])
    known = np.zeros((200, 200), dtype=bool)
    known[40 + RADIUS_PX : 160 - RADIUS_PX, 40 + RADIUS_PX : 160 - RADIUS_PX] = True
    # All of the square is known except its rim and the reach of nuclei on the rim.
    assert not (field.known & ~known).any()
    rows, columns = np.nonzero(known)
    reach = [np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= RADIUS_PX for x, y in field.ignored_xy]
    np.testing.assert_array_equal(field.known[rows, columns], ~np.any(reach, axis=0))


def test_around_a_field_something_may_be_unreadable_but_nothing_in_it(tmp_path: Path) -> None:
    slide = tmp_path / "d.tif"
    disc_slide(tmp_path / "whole.png")
    lost = write_damaged(slide, tmp_path / "whole.png", 200, 200, MPP)
    assert (lost.x, lost.y) == (192, 192)
    beside = store_beside(slide, "beside.muse", [(60, 60, 120)])
    (field,) = fields_of_stores(read_stores([StoreSource(beside)]), MPP, 40, 1.0)
    assert (field.image[180:, 180:] == 255).all()
    assert (field.image[:140, :140] < 255).all()
    inside = store_beside(slide, "inside.muse", [(80, 80, 120)])
    with pytest.raises(UserError, match=r"d\.tif is damaged"):
        fields_of_stores(read_stores([StoreSource(inside)]), MPP, 40, 1.0)


def test_nuclei_are_kept_weighted_and_ignored_as_they_lie(tmp_path: Path) -> None:
    slide = tmp_path / "a.png"
    disc_slide(slide)
    with AnnotationStore.create(
        tmp_path / "a.muse", identify_slide(slide), ClassScheme.from_names(["large", "small"])
    ) as store:
        x, y = [150, 160, 170, 180, 122, 119, 300], [150, 150, 150, 150, 150, 150, 150]
        ids = store.insert(nucleus_table(x, y, "large", model="m"))
        store.set_class(ids[1:2], "small")
        store.set_class(ids[2:3], "large")
        store.delete(ids[3:4])
        store.add(190, 150, "small")
        store.add_region(square(120, 120, 120), reviewed=True)
        reviewed = reviewed_fields(store)
    with open_slide(slide, mpp=MPP) as opened:
        (field,) = read_fields(
            opened,
            reviewed,
            MPP,
            margin_px=20,
            correction_weight=3.0,
            holdout_area=shapely.Polygon(),
        )
    # The window begins at 100. At 122 the border cuts the nucleus; at 119 and 300 it is outside.
    np.testing.assert_allclose(field.xy[:, 0], [50, 60, 70, 90])
    assert field.class_names == ("large", "small", "large", "small")
    assert field.weights.tolist() == [1, 3, 1, 3]
    np.testing.assert_allclose(field.ignored_xy, [[22, 50]])
    np.testing.assert_allclose(field.rejected_xy, [[80, 50]])
    assert not field.known[50, 26]
    assert field.known[50, 30]


def test_a_field_is_read_at_the_models_resolution(tmp_path: Path) -> None:
    path = reviewed_store(tmp_path, [(120, 150, 120)])
    contents = read_stores([StoreSource(path, mpp=0.25)])
    (field,) = fields_of_stores(contents, 0.5, margin_px=10, correction_weight=1.0)
    assert field.image.shape == (80, 80, 3)
    at_full = fields_of_stores(contents, 0.25, margin_px=20, correction_weight=1.0)[0]
    np.testing.assert_allclose(field.xy * 2, at_full.xy, atol=1e-3)


def test_a_large_field_is_cut_into_cells_that_share_no_nucleus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.finetune.data.fields.MAX_CELL_PX", 120)
    path = reviewed_store(tmp_path, [(100, 100, 300)])
    contents = read_stores([StoreSource(path, mpp=MPP)])
    cells = fields_of_stores(contents, MPP, margin_px=32, correction_weight=1.0)
    assert len(cells) == 9
    monkeypatch.setattr("muse_core.finetune.data.fields.MAX_CELL_PX", 1024)
    (whole,) = fields_of_stores(contents, MPP, margin_px=32, correction_weight=1.0)
    assert sum(len(c.xy) for c in cells) == len(whole.xy)
    assert {c.key for c in cells} == {whole.key}
    assert sum(c.known.sum() for c in cells) < whole.known.sum()


def test_the_scale_is_the_slides_own_then_the_given_one_unless_forced(tmp_path: Path) -> None:
    silent = reviewed_store(tmp_path, [(120, 150, 120)])
    saying = reviewed_store(tmp_path, [(120, 150, 120)], mpp=0.25)
    for source, expected in (
        (StoreSource(saying, mpp=1.0, force_mpp=True), 1.0),
        (StoreSource(saying, mpp=0.5), 0.25),
        (StoreSource(silent, mpp=0.5), 0.5),
    ):
        assert read_stores([source])[0].mpp == pytest.approx(expected)
    with pytest.raises(UserError, match=r"scale of slide0\.png is unknown"):
        read_stores([StoreSource(silent)])


def test_the_slide_is_found_by_its_content(tmp_path: Path) -> None:
    path = reviewed_store(tmp_path, [(120, 150, 120)])
    slide = (tmp_path / "slide0.png").rename(tmp_path / "renamed.png")
    disc_slide(tmp_path / "slide0.png", seed=1)
    with AnnotationStore.open(path, read_only=True) as store:
        identity = store.slide
    # macOS leaves files of any size beside the real ones.
    (tmp_path / "._renamed.png").write_bytes(slide.read_bytes())
    assert find_slide(path, identity, None) == slide
    assert find_slide(path, identity, slide) == slide
    with pytest.raises(UserError, match=r"belongs to the slide slide0\.png, not to slide0\.png"):
        find_slide(path, identity, tmp_path / "slide0.png")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "of.muse"
    link.symlink_to(path)
    assert find_slide(link, identity, None) == slide
    slide.unlink()
    (tmp_path / "._renamed.png").unlink()
    for named in (path, link):
        with pytest.raises(UserError, match="not in the folder of the store"):
            find_slide(named, identity, None)


def test_what_one_store_holds_back_no_other_store_of_the_slide_trains_on(tmp_path: Path) -> None:
    path = reviewed_store(tmp_path, [(20, 20, 100), (300, 300, 100)])
    again = store_beside(tmp_path / "slide0.png", "b.muse", [(340, 340, 100), (20, 300, 100)])
    chained = store_beside(tmp_path / "slide0.png", "c.muse", [(420, 420, 50)])
    contents = read_stores([StoreSource(p, mpp=MPP) for p in (chained, path, again)])
    held = [[f.holdout for f in content.fields] for content in contents]
    # The third's field overlaps the first of the second, which overlaps one in the holdout.
    assert held == [[True], [False, True], [True, True]]
    fields = fields_of_stores(contents, MPP, margin_px=300, correction_weight=1.0)
    (train,) = [field for field in fields if not field.holdout]
    with open_slide(tmp_path / "slide0.png", mpp=MPP) as slide:
        window = Region(0, 0, train.image.shape[1], train.image.shape[0])
        assert train.image.shape[:2] == (420, 420)
        np.testing.assert_array_equal(train.image, slide.read(window))
    expected = np.zeros((420, 420), dtype=bool)
    for x, y in ((300, 300), (340, 340), (20, 300)):
        expected[y : y + 100, x : x + 100] = True
    np.testing.assert_array_equal(train.holdout_mask, expected)


def test_classes_of_several_stores_keep_their_looks(tmp_path: Path) -> None:
    path = reviewed_store(tmp_path, [(120, 150, 120)])
    other = reviewed_store(tmp_path, [(120, 150, 120)], seed=1)
    large, small = NucleusClass("large", "#101010", "5"), NucleusClass("small", "#202020", "2")
    blood, dividing = (
        NucleusClass("blood", "#303030", "5"),
        NucleusClass("dividing", "#404040", "7"),
    )
    with AnnotationStore.open(path) as store:
        store.change_class("large", large)
        store.change_class("small", small)
    with AnnotationStore.open(other) as store:
        store.extend_classes([blood, dividing])
    folder = write_points_folder(tmp_path / "folder", ("small", "plasma"))
    run = store_run(tmp_path, path, mode="adapt")
    run = dataclasses.replace(
        run, stores=(*run.stores, StoreSource(other, mpp=MPP)), train=(LabelSet(folder, MPP),)
    )
    *kept, last = load_fields(run, None, MPP, 32).scheme.classes
    assert kept == [large, small, dataclasses.replace(blood, key=""), dividing]
    assert last.name == "plasma"
    assert last.key not in ("", *(c.key for c in kept))


def test_too_little_is_refused(tmp_path: Path) -> None:
    contents = read_stores([StoreSource(reviewed_store(tmp_path, [(100, 100, 90)]), mpp=MPP)])
    with pytest.raises(UserError, match="at least 10 are needed"):
        summary_of(contents)


def test_every_pixel_of_an_annotated_image_is_known() -> None:
    image = np.zeros((40, 50, 3), dtype=np.uint8)
    points = np.array([[1.0, 2.0]], dtype=np.float32)
    images = [AnnotatedImage(str(i), image + i, points, ("a",), 0.5) for i in range(3)]
    fields = fields_of_images(images, 0.5, with_holdout=True)
    assert all(f.known.all() for f in fields)
    assert 0 < sum(f.holdout for f in fields) < 3
    assert not any(f.holdout for f in fields_of_images(images, 0.5, with_holdout=False))


def two_images(folder: Path) -> tuple[Path, list[np.ndarray]]:
    """A TIFF of two images, and their pixels."""
    pictures = []
    for seed, side in enumerate((480, 400)):
        disc_slide(folder / f"{seed}.png", side, seed)
        with open_slide(folder / f"{seed}.png") as slide:
            pictures.append(np.asarray(slide.levels[0]))
        (folder / f"{seed}.png").unlink()
    with tifffile.TiffWriter(folder / "two.tif") as tif:
        for pixels in pictures:
            tif.write(pixels, photometric="rgb", tile=(128, 128), metadata=None)
    return folder / "two.tif", pictures


def test_a_store_is_read_on_its_own_image(tmp_path: Path) -> None:
    slide, pictures = two_images(tmp_path)
    stores = []
    for part in ("", "image=2"):
        path = tmp_path / f"{part or 'first'}.muse"
        identity = identify_slide(slide, part)
        with AnnotationStore.create(path, identity, ClassScheme.from_names(["a"])) as store:
            store.insert(nucleus_table([150.0], [160.0], "a", model="m"))
            store.add_region(square(120, 150, 120), reviewed=True)
        stores.append(StoreSource(path, mpp=MPP))
    contents = read_stores(stores)
    assert [c.choice.image for c in contents] == [1, 2]
    assert contents[0].fingerprint != contents[1].fingerprint
    fields = fields_of_stores(contents, MPP, margin_px=40, correction_weight=2.0)
    for field, pixels in zip(fields, pictures, strict=True):
        np.testing.assert_array_equal(field.image, pixels[110:310, 80:280])


def test_a_store_that_names_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    slide, _ = two_images(tmp_path)
    for part in ("image=3", "image=../x"):
        path = tmp_path / f"{len(part)}.muse"
        identity = identify_slide(slide, part)
        with AnnotationStore.create(path, identity, ClassScheme.from_names(["a"])):
            pass
        with pytest.raises(UserError, match=r"no image"):
            read_stores([StoreSource(path, slide, mpp=MPP)])


def test_without_annotations_all_images_of_a_slide_are_drawn_from(tmp_path: Path) -> None:
    slide, pictures = two_images(tmp_path)
    source = UnlabeledSource(slide, MPP)
    found = read_unlabeled([source], MPP, 600, 1, 0)
    for image, pixels in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(image.image, pixels)
    reviewed = {identify_slide(slide, "image=2&plane=1").tissue}
    (image,) = read_unlabeled([source], MPP, 600, 1, 0, reviewed)
    np.testing.assert_array_equal(image.image, pictures[0])


def test_channels_of_a_stores_slide_are_those_the_user_names(tmp_path: Path) -> None:
    disc_slide(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as opened:
        pixels = np.asarray(opened.levels[0])
    slide = tmp_path / "dyes.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    tifffile.imwrite(slide, planes, photometric="minisblack", metadata=metadata, ome=True)
    path = tmp_path / "dyes.muse"
    with AnnotationStore.create(
        path, identify_slide(slide), ClassScheme.from_names(["a"])
    ) as store:
        store.insert(nucleus_table([150.0], [160.0], "a", model="m"))
        store.add_region(square(120, 150, 120), reviewed=True)
    with pytest.raises(UserError, match="--channels"):
        read_stores([StoreSource(path, slide, mpp=MPP)])
    contents = read_stores([StoreSource(path, slide, mpp=MPP, channels="3,2,1")])
    (field,) = fields_of_stores(contents, MPP, margin_px=40, correction_weight=2.0)
    np.testing.assert_array_equal(field.image, pixels[110:310, 80:280, ::-1])
