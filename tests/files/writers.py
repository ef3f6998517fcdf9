"""Every writer of the core that needs no slide or training, by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from muse_core.classify.feature_file import read_features, write_features
from muse_core.data.datasets import convert_dataset
from muse_core.files import replacing
from muse_core.models.checkpoint import load_model, save_model
from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table, read_nuclei, write_nuclei
from muse_core.nuclei.store import AnnotationStore, SlideIdentity
from muse_core.pretrain.roi_manifest import RoiSettings, open_roi_folder, read_manifest
from muse_core.training.run_state import load_state, save_state

N = 3000
SCHEME = ClassScheme.from_names(["a", "b"])


def _table() -> Any:
    x, y = np.random.default_rng(0).uniform(0, 9999, (2, N)).round(3)
    return nucleus_table(x, y, np.where(x < 5000, "a", "b"), score=0.5, model="m")


def _nuclei(path: Path) -> None:
    write_nuclei(path, NucleusFile(_table(), SCHEME, 0.25))


def _with_features(path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float16)
    write_nuclei(path, NucleusFile(_table(), SCHEME, 0.25), features=features)


def _features(path: Path) -> None:
    rng = np.random.default_rng(0)
    order = np.array_split(rng.permutation(N), 7)
    chunks = ((rows, rng.normal(size=(len(rows), 32)).astype(np.float16)) for rows in order)
    write_features(path, _table(), 32, chunks, {"model": "m"})


def _store(path: Path) -> None:
    with AnnotationStore.create(path, SlideIdentity("s", 1, "f"), SCHEME) as store:
        store.insert(_table())


def _store_is_whole(path: Path) -> None:
    # A store created before the disk was full has no nuclei.
    with AnnotationStore.open(path, read_only=True) as store:
        assert len(store.nuclei()) in (0, N)


def _state(path: Path) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    save_state({f"{i}": torch.randn(5000, generator=generator) for i in range(9)}, path)


def _state_is_whole(path: Path) -> None:
    assert len(load_state(path) or ()) == 9


def _model(path: Path) -> None:
    save_model(load_model(path.parents[1] / "inputs" / "m.safetensors"), path)


def _rois(path: Path) -> None:
    open_roi_folder(path, RoiSettings())


def _dataset(path: Path) -> None:
    convert_dataset("ocelot", path.parents[1] / "inputs" / "ocelot", path, "train")


def _image(path: Path) -> None:
    from muse_core.pretrain.rois import _write_image

    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    _write_image(pixels, path, 0.5, 90)


def _text(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_bytes(b"x" * 150_000)


def _anything(path: Path) -> None:
    assert path.exists()


WRITERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "n.csv": (_nuclei, read_nuclei),
    "n.geojson": (_nuclei, read_nuclei),
    "n.geojson.gz": (_nuclei, read_nuclei),
    "n.parquet": (_nuclei, read_nuclei),
    "n.h5ad": (_nuclei, read_nuclei),
    "features.h5ad": (_with_features, read_nuclei),
    "f.zarr": (_features, read_features),
    "s.muse": (_store, _store_is_whole),
    "r.checkpoint": (_state, _state_is_whole),
    "m.safetensors": (_model, load_model),
    "roi.tif": (_image, _anything),
    "rois": (_rois, read_manifest),
    "points": (_dataset, _anything),
    "text": (_text, _anything),
}
if importlib.util.find_spec("spatialdata") is not None:
    WRITERS["n.zarr"] = (_nuclei, read_nuclei)
