"""Miniature folders in the layouts of the published data sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy.io import savemat


def _image(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        Image.fromarray(pixels).save(path)


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


BRCAM2C_NAME = "TCGA-A7-A0DA-01Z-00-DX1_63501_13001_1000_999_0.9824"


def brcam2c(root: Path) -> Path:
    _image(root / "images" / f"{BRCAM2C_NAME}.png", 60, 40)
    _text(root / "labels" / f"{BRCAM2C_NAME}_gt_class_coords.txt", "5 50 1\n39 0 2\n10 11 3\n")
    _text(root / "brca_ds_train.txt", f"{BRCAM2C_NAME}.png\n")
    return root


def ocelot(root: Path) -> Path:
    pairs = {}
    for name, subset in (("001", "train"), ("002", "train"), ("003", "train"), ("400", "val")):
        _image(root / "images" / subset / "cell" / f"{name}.jpg", 64, 64)
        cell = {"x_start": 0, "resized_mpp_x": 0.2, "resized_mpp_y": 0.2}
        pairs[name] = {"slide_name": "s", "subset": subset, "cell": cell}
    annotations = root / "annotations"
    _text(annotations / "train" / "cell" / "001.csv", "3,40,1\n10,20,2\n")
    _text(annotations / "train" / "cell" / "002.csv", "")
    _text(annotations / "val" / "cell" / "400.csv", "1,1,2\n")
    _text(root / "metadata.json", json.dumps({"sample_pairs": pairs}))
    return root


def puma_feature(kind: str, geometry: dict[str, object]) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": "1",
        "geometry": geometry,
        "properties": {"objectType": "annotation", "classification": {"name": kind}},
    }


def square(x: float, y: float, side: float = 4.0) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def puma(root: Path) -> Path:
    name = "training_set_metastatic_roi_033"
    _image(root / "01_training_dataset_tif_ROIs" / f"{name}.tif", 64, 64)
    features = [
        puma_feature("nuclei_tumor", {"type": "Polygon", "coordinates": [square(10, 20)]}),
        puma_feature("nuclei_plasma_cell", {"type": "Polygon", "coordinates": [square(30, 8)]}),
        puma_feature(
            "nuclei_lymphocyte",
            {"type": "MultiPolygon", "coordinates": [[square(40, 40)], [square(50, 50)]]},
        ),
    ]
    outlines = root / "01_training_dataset_geojson_nuclei" / f"{name}_nuclei.geojson"
    _text(outlines, json.dumps({"type": "FeatureCollection", "features": features}))
    split = {"classes": ["tumor"], "anno": {f"images/{name}_.png": []}}
    _text(root / "split" / "val.json", json.dumps(split))
    return root


def consep(root: Path) -> Path:
    _image(root / "Train" / "Images" / "train_1.png", 40, 30)
    instances, kinds = np.zeros((30, 40)), np.zeros((30, 40))
    # A 4 x 2 block from column 10 and row 5; and an L whose corner is of another class.
    instances[5:7, 10:14], kinds[5:7, 10:14] = 1, 2
    instances[20, 20:23] = instances[21, 20] = 7
    kinds[20, 20:23], kinds[21, 20] = 5, 3
    path = root / "Train" / "Labels" / "train_1.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {"inst_map": instances, "type_map": kinds})
    return root


def pannuke(root: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float64)
    masks = np.zeros((2, 32, 32, 6))
    masks[0, 2:4, 6:10, 0] = 3  # neoplastic
    masks[0, 20:22, 20:22, 4] = 9  # epithelial
    masks[..., 5] = 1
    for what, array in (("images", images), ("masks", masks)):
        path = root / "Fold 1" / what / "fold1" / f"{what}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, array)
    return root
