from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.data.points_folder import (
    class_names_in,
    folder_notes,
    image_paths,
    read_points_folder,
)
from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table, write_csv


def _folder(root: Path, points: str | None = "x,y,class\n1.5,2.5,a\n3,4,b\n") -> Path:
    (root / "images").mkdir()
    (root / "points").mkdir()
    pixels = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    Image.fromarray(pixels).save(root / "images" / "t.png")
    if points is not None:
        (root / "points" / "t.csv").write_text(points)
    return root


def test_reads_pixels_and_points(tmp_path: Path) -> None:
    (image,) = read_points_folder(_folder(tmp_path), mpp=0.5)
    assert image.name == "t"
    assert image.image.shape == (8, 10, 3)
    assert image.image[0, 1].tolist() == [3, 4, 5]
    assert image.xy.tolist() == [[1.5, 2.5], [3.0, 4.0]]
    assert image.class_names == ("a", "b")
    assert class_names_in([image]) == ("a", "b")


@pytest.mark.parametrize(
    ("image", "points"),
    [
        (unicodedata.normalize("NFD", "Präparat.png"), "Präparat.csv"),
        ("Präparat.png", unicodedata.normalize("NFD", "Präparat.csv")),
        ("T.PNG", "T.CSV"),
    ],
)
def test_names_that_a_person_would_call_the_same_belong_together(
    tmp_path: Path, image: str, points: str
) -> None:
    """As images have them that were copied from a Mac, and tables of programs of Windows."""
    folder = _folder(tmp_path)
    (folder / "images" / "t.png").rename(folder / "images" / image)
    (folder / "points" / "t.csv").rename(folder / "points" / points)
    (found,) = read_points_folder(folder, mpp=0.5)
    assert found.xy.tolist() == [[1.5, 2.5], [3.0, 4.0]]


@pytest.mark.parametrize(
    "points",
    [
        "x;y;class\n1,5;2,5;NA\n3;4;b\n",
        "sep=;\nX;Y;Class\n1,5;2,5;NA\n3;4;b\n;;\n",
        "x_px\ty_px\tclass\n1.5\t2.5\tNA\n3\t4\tb\n",
        "x,y,class\n1.5,2.5,NA \n3,4, b\n",
        "x [px];y [px];class name\n1,5;2,5;NA\n3;4;b\n",
        "Object type\tClassification\tCentroid X px\tCentroid Y px\n"
        "Annotation\t\t9\t9\nDetection\tNA\t1.5\t2.5\nCell\tb\t3\t4\n",
    ],
)
def test_points_may_be_saved_by_a_spreadsheet(tmp_path: Path, points: str) -> None:
    (image,) = read_points_folder(_folder(tmp_path, points), mpp=0.5)
    assert image.xy.tolist() == [[1.5, 2.5], [3.0, 4.0]]
    assert image.class_names == ("NA", "b")


def test_what_a_person_has_deleted_is_no_nucleus(tmp_path: Path) -> None:
    table = nucleus_table(
        [1, 2, 3], [4, 5, 6], ["a", "b", "c"], status=["added", "deleted", "predicted"]
    )
    folder = _folder(tmp_path)
    write_csv(table, folder / "points" / "t.csv", 0.5)
    (image,) = read_points_folder(folder, mpp=0.5)
    assert image.xy.tolist() == [[1, 4], [3, 6]]
    assert image.class_names == ("a", "c")


def test_an_image_may_hold_no_nucleus(tmp_path: Path) -> None:
    (image,) = read_points_folder(_folder(tmp_path, "x,y,class\n"), mpp=0.5)
    assert image.xy.shape == (0, 2)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (None, "has no points"),
        ("", "not a readable CSV"),
        ("x,y\n1,2\n", "lacks the column"),
        ("x,y,class\n1,up,a\n", "not a number"),
        ("x,y,class\n1,,a\n", "not a number"),
        ("x,y,class\n1,2,a\n1,1000,a\n", "1 of 2 points in .* lie outside the image, .* 10 x 8"),
        ("x,y,class\n-50,2,a\n", "1 of 1 points"),
        ("x,y,class\n1,2,a\n\n1,3, \n", r"t\.csv holds ' ' in the column class, line 4"),
        ("x,y,class\n1,1e300,a\n", "1 of 1 points"),
        (
            "Image,x,y,class\nt.png,1,2,a\nu.png,3,4,a\n",
            r"t\.csv: It holds nuclei of several slides by .* 'image' \(t.png, u",
        ),
    ],
)
def test_malformed_points_get_a_sentence(tmp_path: Path, points: str | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_points_folder(_folder(tmp_path, points), mpp=0.5)


def test_missing_folders_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        read_points_folder(tmp_path / "nowhere", mpp=0.5)
    (tmp_path / "images").mkdir()
    (tmp_path / "points").mkdir()
    with pytest.raises(UserError, match="no image"):
        read_points_folder(tmp_path, mpp=0.5)


def test_names_choose_images(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert [i.name for i in read_points_folder(folder, 0.5, ["t"])] == ["t"]
    with pytest.raises(UserError, match="no image 'u'"):
        read_points_folder(folder, 0.5, ["t", "u"])


def test_real_folder(muse_data: Path) -> None:
    images = read_points_folder(muse_data / "brcam2c" / "val", mpp=0.5)
    assert len(images) == 10
    assert class_names_in(images) == ("lymphocyte", "stromal", "tumor")


def test_images_that_would_share_one_file_of_points_are_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    image = next((folder / "images").iterdir())
    image.with_suffix(".jpg").write_bytes(image.read_bytes())
    with pytest.raises(UserError, match=rf"holds 2 images named {image.stem}, which would share"):
        image_paths(folder)


def test_an_image_of_another_format_is_not_left_out_silently(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    picture = Image.open(folder / "images" / "t.png")
    picture.save(folder / "images" / "t.bmp")
    picture.save(folder / "images" / "u.bmp")
    assert [p.name for p in image_paths(folder)] == ["t.png"], "neither of them has points"
    (folder / "points" / "u.csv").write_text("x,y,class\n")
    with pytest.raises(
        UserError, match=r"u\.bmp has points, but images here are PNG, JPEG or TIFF"
    ):
        image_paths(folder)


def test_what_file_managers_leave_is_no_image(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (image,) = image_paths(folder)
    for name in (f"._{image.name}", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / "images" / name).write_bytes(b"nothing of the kind")
    (folder / "images" / "@eaDir").mkdir()
    (folder / "images" / "@eaDir" / image.name).mkdir()
    assert image_paths(folder) == [image]
    assert len(read_points_folder(folder, 0.5)) == 1


def test_a_file_of_several_images_is_refused(tmp_path: Path) -> None:
    _folder(tmp_path)
    png = tmp_path / "images" / "t.png"
    first = Image.open(png)
    second = first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    first.save(tmp_path / "images" / "t.tif", save_all=True, append_images=[second])
    png.unlink()
    with pytest.raises(UserError, match=r"t.tif holds 2 tissue images"):
        read_points_folder(tmp_path, 0.5)


@pytest.mark.parametrize("force", [False, True])
def test_an_image_that_states_its_scale_keeps_it_unless_forced(tmp_path: Path, force: bool) -> None:
    folder = _folder(tmp_path)
    pixels = np.full((20, 20, 3), 200, np.uint8)
    path, per_cm = folder / "images" / "u.tif", (40000, 40000)
    tifffile.imwrite(
        path, pixels, photometric="rgb", resolution=per_cm, resolutionunit="CENTIMETER"
    )
    (folder / "points" / "u.csv").write_text("x,y,class\n1,2,a\n")
    unstated, stated = read_points_folder(folder, 0.5, force_mpp=force)
    assert (unstated.mpp, stated.mpp) == (0.5, 0.5 if force else 0.25)
    (note,) = folder_notes(folder, 0.5, force)
    assert f"1 of 2 images in {folder} state another scale than the given 0.5 um/px" in note
    assert "(first: u.tif, 0.25)" in note
    assert ("the given one is used" in note) is force
    assert folder_notes(folder, 0.25) == ()


def test_points_whose_image_is_gone_are_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert folder_notes(folder, 0.5) == ()
    for name in ("v.csv", "w.CSV", "notes.txt", "._t.csv"):
        (folder / "points" / name).write_text("x,y,class\n")
    said = f"In {folder} 2 files of points have no image and no effect (first: v.csv)."
    assert folder_notes(folder, 0.5) == (said,)


def test_what_is_given_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "x,y,class\n1,2,a\n3,4,b\n1.0,2,a\n1,2,a\n3,4,a\n")
    (image,) = read_points_folder(folder, 0.5)
    assert image.xy.tolist() == [[1, 2], [3, 4], [3, 4]]
    assert image.class_names == ("a", "b", "a")
    assert folder_notes(folder, 0.5) == (
        f"In {folder} 2 lines repeat others, and each nucleus counts once (first: t.csv).",
        f"In {folder} 1 nucleus lies exactly where one of another class does (first: t.csv).",
    )


def test_a_folder_without_nuclei_is_said_to_have_none(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "x,y,class\n")
    assert folder_notes(folder, 0.5) == (f"In {folder} no nucleus is annotated.",)
