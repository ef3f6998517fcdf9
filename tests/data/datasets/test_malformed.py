"""Malformed data sets end in a message that names the file."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from muse_core.data.datasets import convert_dataset, find_dataset
from muse_core.data.datasets.source import annotated
from muse_core.errors import UserError

from . import layouts

Damage = Callable[[Path], object]


def _write(relative: str, content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda root: (root / relative).write_bytes(data)


def _remove(relative: str) -> Damage:
    return lambda root: (root / relative).unlink()


def _truncate(relative: str) -> Damage:
    def damage(root: Path) -> None:
        content = (root / relative).read_bytes()
        (root / relative).write_bytes(content[: len(content) // 2])

    return damage


class _Code:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("executed"),)


_B = f"labels/{layouts.BRCAM2C_NAME}_gt_class_coords.txt"
_O = "annotations/train/cell/001.csv"
_P = "01_training_dataset_geojson_nuclei/training_set_metastatic_roi_033_nuclei.geojson"
_N = "Fold 1/masks/fold1/masks.npy"
_BAD_CLASS = {"features": [layouts.puma_feature("nuclei_x", {"type": "Polygon"})]}
_LINE = {"features": [layouts.puma_feature("nuclei_tumor", {"type": "LineString"})]}
CASES: list[tuple[str, Damage, str]] = [
    ("brcam2c", _remove("brca_ds_train.txt"), "is missing"),
    ("brcam2c", _remove(_B), "is missing"),
    ("brcam2c", _remove(f"images/{layouts.BRCAM2C_NAME}.png"), "is missing"),
    ("brcam2c", _truncate(f"images/{layouts.BRCAM2C_NAME}.png"), "png"),
    ("brcam2c", _write(_B, "5 50\n"), "line 1"),
    ("brcam2c", _write(_B, "1 1 1\n5 x 1\n"), "line 2"),
    ("brcam2c", _write(_B, "5 nan 1\n"), "line 1"),
    ("brcam2c", _write(_B, "5 5 1.5\n"), "line 1"),
    ("brcam2c", _write(_B, "5 5 4\n"), "unknown class 4"),
    ("brcam2c", _write(_B, "50 5 1\n"), "outside"),
    ("brcam2c", _write(_B, b"\xff\xfe\x00"), "not a text file"),
    ("brcam2c", _write("brca_ds_train.txt", b"\xff\xfe\x00"), "readable list"),
    ("ocelot", _remove("metadata.json"), "is missing"),
    ("ocelot", _write("metadata.json", "{"), "JSON"),
    ("ocelot", _write("metadata.json", "[" * 100_000), "JSON"),
    ("ocelot", _write("metadata.json", '{"sample_pairs": {"1": {}}}'), "sample pairs"),
    ("ocelot", _write("metadata.json", "[]"), "sample pairs"),
    ("ocelot", _write(_O, "1 2 3\n"), "line 1"),
    ("ocelot", _write(_O, "1,2,3\n"), "unknown class 3"),
    ("ocelot", _remove("images/train/cell/001.jpg"), "is missing"),
    ("puma", _write(_P, "not json"), "JSON"),
    ("puma", _write(_P, '{"features": [{}]}'), "no GeoJSON file of nuclei"),
    ("puma", _write(_P, json.dumps(_BAD_CLASS)), "unknown class 'x'"),
    ("puma", _write(_P, json.dumps(_LINE)), "LineString"),
    ("puma", _remove(_P), "is missing"),
    ("puma", _write("split/val.json", "[]"), "split list"),
    ("puma", _truncate("01_training_dataset_tif_ROIs/training_set_metastatic_roi_033.tif"), "tif"),
    ("consep", _remove("Train/Labels/train_1.mat"), "is missing"),
    ("consep", _truncate("Train/Labels/train_1.mat"), "MATLAB"),
    ("consep", _write("Train/Labels/train_1.mat", "text"), "MATLAB"),
    ("consep", _write("Train/Labels/train_1.mat", b""), "MATLAB"),
    ("pannuke", _remove(_N), "is missing"),
    ("pannuke", _truncate(_N), "not a readable array"),
    ("pannuke", _write(_N, pickle.dumps(_Code())), "not a readable array"),
]


@pytest.mark.parametrize(("name", "damage", "sentence"), CASES)
def test_damage_is_named(name: str, damage: Damage, sentence: str, tmp_path: Path) -> None:
    root = getattr(layouts, name)(tmp_path)
    damage(root)
    split = {"puma": "val", "pannuke": "fold1"}.get(name, "train")
    with pytest.raises(UserError, match=sentence):
        list(find_dataset(name, split).read(root, split, False))
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"inst_map": np.zeros((30, 40))}, "lacks 'type_map'"),
        ({"inst_map": np.zeros((30, 40)), "type_map": np.zeros((3, 4))}, "do not fit together"),
        ({"inst_map": np.zeros((3, 4)), "type_map": np.zeros((3, 4))}, "not of the size"),
        ({"inst_map": np.ones((30, 40)), "type_map": np.full((30, 40), 9)}, "unknown class 9"),
        ({"inst_map": np.full((30, 40), 1e12), "type_map": np.ones((30, 40))}, "no label"),
        ({"inst_map": np.ones((30, 40)), "type_map": np.full((30, 40), -1)}, "no label"),
        ({"inst_map": np.ones((30, 40)) * 1j, "type_map": np.ones((30, 40))}, "do not fit"),
    ],
)
def test_masks_that_do_not_fit(content: dict[str, object], sentence: str, tmp_path: Path) -> None:
    root = layouts.consep(tmp_path)
    savemat(root / "Train" / "Labels" / "train_1.mat", content)
    with pytest.raises(UserError, match=sentence):
        list(find_dataset("consep", "train").read(root, "train", False))


def test_masks_that_crash_their_library_are_named(tmp_path: Path) -> None:
    root = layouts.consep(tmp_path)
    masks = root / "Train" / "Labels" / "train_1.mat"
    whole = bytearray(masks.read_bytes())
    # The type of the values, behind the header and the flags, size and name of the first array.
    assert whole[168:192].startswith(b"\x01\x00\x00\x00\x08\x00\x00\x00inst_map\x09")
    whole[184] = 0
    masks.write_bytes(whole)
    with pytest.raises(
        UserError, match=r"^train_1.mat is damaged: the library .* crashed on it\.$"
    ):
        list(find_dataset("consep", "train").read(root, "train", False))


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    root = layouts.pannuke(tmp_path)
    np.save(root / _N, np.zeros((2, 32, 32, 5)))
    with pytest.raises(UserError, match="do not fit together"):
        list(find_dataset("pannuke", "fold1").read(root, "fold1", False))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not cut open files")
def test_arrays_that_are_cut_short_while_they_are_read(tmp_path: Path) -> None:
    root = layouts.pannuke(tmp_path)
    masks = np.asfortranarray(np.load(root / _N))
    np.save(root / _N, masks)
    images = iter(find_dataset("pannuke", "fold1").read(root, "fold1", False))
    assert len(next(images).xy) == 2, "columns may come before rows"
    path = root / _N.replace("masks", "images")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"images\.npy has been cut short while it was open"):
        next(images)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="choose from brcam2c"):
        find_dataset("imagenet", "train")
    with pytest.raises(UserError, match="choose from fold1"):
        find_dataset("pannuke", "train")


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    root, out = layouts.brcam2c(tmp_path / "in" / "data"), tmp_path / "in" / "deep" / "out"
    out.parent.mkdir()
    for folder, ending in (("images", ".png"), ("labels", "_gt_class_coords.txt")):
        path = root / folder / f"{layouts.BRCAM2C_NAME}{ending}"
        path.rename(tmp_path / "in" / f"results{ending}")
    (root / "brca_ds_train.txt").write_text("../../results.png\n")
    with pytest.raises(UserError, match=r"names an image '../../results'"):
        convert_dataset("brcam2c", root, out, "train")
    assert not any(out.parent.iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "C:a"])
def test_names_that_are_no_file_names(name: str) -> None:
    with pytest.raises(UserError, match="plain file name"):
        annotated(name, np.zeros((8, 8, 3), np.uint8), [], [], 0.5)
