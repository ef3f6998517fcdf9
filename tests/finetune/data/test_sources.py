from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import LabelSet
from muse_core.finetune.data.crop_dataset import SourceImage
from muse_core.finetune.data.sources import load_training_data

CLASSES = ("lymphocyte", "stromal", "tumor")


def _folder(root: Path, rows: list[str], pixels: np.ndarray | None = None) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "points").mkdir()
    pixels = np.full((64, 96, 3), 200, np.uint8) if pixels is None else pixels
    Image.fromarray(pixels).save(root / "images" / "a.png")
    (root / "points" / "a.csv").write_text("\n".join(["x,y,class", *rows]) + "\n")
    return root


def test_sets_with_a_map_teach_the_models_own_classes(tmp_path: Path) -> None:
    own = _folder(tmp_path / "own", ["5,5,tumor", "9,9,stromal", "20,9,lymphocyte"])
    other = _folder(tmp_path / "other", ["5,5,cell", "9,9,tumor", "30,9,cell"])
    places = _folder(tmp_path / "places", ["5,5,nucleus"])
    mapping = {"tumor": ("tumor",), "cell": ("stromal", "lymphocyte")}
    data = load_training_data(
        (
            LabelSet(own, 0.5),
            LabelSet(other, 0.5, class_map=mapping),
            LabelSet(places, 0.5, classes_count=False),
        )
    )
    assert data.label_sets == (CLASSES, ("cell", "tumor"), ("nucleus",))
    assert data.allowed[0] is None
    assert data.allowed[2] is None
    assert data.allowed[1] is not None
    assert data.allowed[1].tolist() == [[True, True, False], [False, False, True]]
    assert [c.tolist() for c in data.counts] == [[1, 1, 1], [2, 1], [1]]


def test_classes_can_be_given_where_no_folder_has_all_of_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", ["5,5,epithelial"])
    labels = LabelSet(folder, 0.5, class_map={"epithelial": ("tumor",)})
    data = load_training_data((labels,), CLASSES)
    assert data.label_sets[0] == CLASSES
    assert data.counts[0].tolist() == [0, 0, 0]
    # Otherwise the model has the named classes.
    assert load_training_data((labels,)).label_sets[0] == ("tumor",)
    nothing = LabelSet(folder, 0.5, class_map={"epithelial": ("*",)})
    with pytest.raises(UserError, match="no annotated nucleus"):
        load_training_data((nothing,))


def test_away_from_annotations_a_set_that_is_not_exhaustive_is_unknown(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", ["30,20,tumor"])
    (source,) = load_training_data((LabelSet(folder, 0.5, exhaustive=False),)).sources
    assert isinstance(source, SourceImage)
    assert source.known is not None
    assert source.known[20, 30]
    assert not source.known[20, 40]
    (source,) = load_training_data((LabelSet(folder, 0.5),)).sources
    assert isinstance(source, SourceImage)
    assert source.known is None


@pytest.mark.parametrize("exhaustive", [True, False])
def test_marks_that_may_be_no_nuclei_teach_nothing(tmp_path: Path, exhaustive: bool) -> None:
    folder = _folder(tmp_path / "a", ["30,20,tumor", "80,50,ambiguous", "35,20,ambiguous"])
    labels = LabelSet(
        folder, 0.5, class_map={"tumor": ("tumor",), "ambiguous": ()}, exhaustive=exhaustive
    )
    data = load_training_data((labels,))
    assert data.label_sets == (("tumor",), ("tumor",))
    assert data.counts[1].tolist() == [1]
    (source,) = data.sources
    assert isinstance(source, SourceImage)
    assert source.xy.tolist() == [[30.0, 20.0]]
    assert source.classes.tolist() == [0]
    known = source.known
    assert known is not None
    rows, columns = np.mgrid[:64, :96] + 0.5
    # 3 um around a mark are 6 px.
    for x, y in ((80, 50), (35, 20)):
        assert not known[np.hypot(columns - x, rows - y) <= 6].any()
    assert known[20, 26]
    assert known[50, 60] == exhaustive


def test_a_set_of_nothing_but_doubtful_marks_has_no_nuclei(tmp_path: Path) -> None:
    own = _folder(tmp_path / "own", ["5,5,tumor"])
    doubtful = _folder(tmp_path / "doubtful", ["30,20,ambiguous"])
    data = load_training_data(
        (LabelSet(own, 0.5), LabelSet(doubtful, 0.5, class_map={"ambiguous": ()}))
    )
    source = data.sources[1]
    assert isinstance(source, SourceImage)
    assert not len(source.xy)
    assert source.known is not None
    assert source.known.any()


def test_finer_images_are_shrunk_antialiased_and_points_follow(tmp_path: Path) -> None:
    # Stripes of one pixel alias to stripes, or to one value, unless they are averaged.
    stripes = np.zeros((63, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    folder = _folder(tmp_path / "a", ["30,20,tumor"], stripes)
    data = load_training_data((LabelSet(folder, 0.25),), model_mpp=0.5)
    (source,) = data.sources
    assert isinstance(source, SourceImage)
    assert source.mpp == 0.5
    assert source.image.shape == (32, 48, 3)
    np.testing.assert_allclose(source.image[:, 4:-4], 127.5, atol=2)
    # 63 rows became 32, not 31.5.
    np.testing.assert_allclose(source.xy, [[15.0, 20 * 32 / 63]], rtol=1e-6)
    coarser = load_training_data((LabelSet(folder, 0.55),), model_mpp=0.5)
    assert isinstance(coarser.sources[0], SourceImage)
    assert coarser.sources[0].image.shape == (63, 96, 3)


def test_an_image_without_nuclei_may_have_an_empty_map(tmp_path: Path) -> None:
    own = _folder(tmp_path / "own", ["5,5,tumor"])
    empty = _folder(tmp_path / "empty", [])
    data = load_training_data((LabelSet(own, 0.5), LabelSet(empty, 0.5, class_map={})))
    allowed = data.allowed[1]
    assert allowed is not None
    assert allowed.shape == torch.Size([0, 1])
