"""Files of nuclei, points-folders, features, stores and data sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from muse_core.classify.feature_file import is_feature_file, read_features, write_features
from muse_core.data.class_map import read_class_map
from muse_core.data.datasets import convert_dataset
from muse_core.data.points_folder import read_points_folder
from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    is_nucleus_csv,
    nucleus_table,
    read_nuclei_here,
    write_nuclei,
)
from muse_core.nuclei.store import AnnotationStore, SlideIdentity
from muse_core.pretrain.config_file import read_pretrain_config
from muse_core.pretrain.roi_manifest import read_manifest
from muse_core.strict import plain_values

from ..data.datasets import layouts
from ..job_inputs import write_points_folder
from ..pretrain.roi_folder import tiny_config
from .target import Target

_REGION = NamedRegion(((0.0, 0.0), (90.0, 0.0), (90.0, 95.5), (0.0, 90.0)), "left, top", True)
_SCHEME = ClassScheme.from_names(["tumor", "stromal", "plasma µ"])


def table(n: int = 30) -> pd.DataFrame:
    """Nuclei of three classes and several statuses."""
    rng = np.random.default_rng(0)
    return nucleus_table(
        rng.uniform(0, 900, n),
        rng.uniform(0, 900, n),
        np.resize(np.array(_SCHEME.names, dtype=object), n),
        score=rng.uniform(0, 1, n),
        status=np.resize(np.array(["predicted", "confirmed", "added"], dtype=object), n),
        model="m",
    )


def _ours(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_nuclei(folder / name, NucleusFile(table(), _SCHEME, 0.5, (_REGION,)))
        return folder / name

    return make


def _qupath(folder: Path) -> Path:
    features: list[dict[str, object]] = [
        {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}}
    ]
    for i in range(12):
        ring = [[i, 1], [i + 8, 1], [i + 4, 9.5], [i, 1]]
        features.append(
            {
                "type": "Feature",
                "id": str(i),
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "nucleusGeometry": {"type": "Point", "coordinates": [i + 4, 3]},
                "properties": {
                    "objectType": ("detection", "annotation", "cell")[i % 3],
                    "classification": {"name": "Tumor: Positive", "color": [200, 0, 0]},
                    "isLocked": False,
                    "measurements": {"Detection probability": 0.5},
                },
            }
        )
    path = folder / "q.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def _geoparquet(folder: Path) -> Path:
    shapes = shapely.buffer(shapely.points(table()[["x", "y"]].to_numpy()), 4)
    geo = (
        b'{"version":"1.0.0","primary_column":"geometry","columns":'
        b'{"geometry":{"encoding":"WKB","geometry_types":["Polygon"]}}}'
    )
    columns = {
        "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        "class_name": pa.array(table()["class_name"]).dictionary_encode(),
        "score": table()["score"].to_numpy(),
    }
    written = pa.table(columns).replace_schema_metadata({b"geo": geo})
    pq.write_table(written, folder / "g.geoparquet")
    return folder / "g.geoparquet"


def _foreign_csv(folder: Path) -> Path:
    rows = "".join(f'"{i}"; {i},25 ;{i * 1000},5;Tumor\r\n' for i in range(20))
    path = folder / "f.csv"
    path.write_bytes(f"sep=;\r\nName; Centroid X px ;Y px;Class\r\n{rows};;;\r\n".encode("cp1252"))
    return path


def read_csv_as_the_window_does(path: Path) -> None:
    """Check whether a CSV contains nuclei, and read it."""
    is_nucleus_csv(path)
    read_nuclei_here(path)


def _store(folder: Path) -> Path:
    path = folder / "s.svs.muse"
    with AnnotationStore.create(path, SlideIdentity("s.svs", 1, "ab"), _SCHEME, "me") as store:
        ids = store.insert(table(40), {"entropy": np.full(40, 0.5)})
        store.set_class(ids[:5], "stromal")
        store.add_region(_REGION.vertices, reviewed=True, name="field")
        store.delete(ids[5:7])
        store.undo()
    for left in folder.glob("*-*"):
        left.unlink()
    return path


def use_store(path: Path) -> None:
    """Read everything in a store, edit it, undo and redo."""
    read_store(path)
    with AnnotationStore.open(path, "you") as store:
        if store.read_only:
            return
        store.add(5.0, 6.0, "tumor")
        found = store.rows()["id"][:3]
        store.set_class(found, "stromal")
        store.move(found[:1], [8.0], [9.0])
        for _ in range(6):
            if store.undo() is None:
                break
        store.redo()
        store.merge_classes("stromal", "tumor")
        store.delete(found)


def read_store(path: Path) -> None:
    """Read everything in a store."""
    with AnnotationStore.open(path, read_only=True) as store:
        _ = store.slide, store.classes, store.revision, store.detecting
        store.rows()
        store.nuclei(with_deleted=True)
        store.nuclei((0.0, 0.0, 100.0, 100.0))
        store.count()
        store.regions()
        store.holdout_by_region()
        store.reviewed_areas()


def _old_store(folder: Path) -> Path:
    """A store as left by a crashed program: with edits in the log beside it."""
    path = folder / "s.svs.muse"
    store = AnnotationStore.create(path, SlideIdentity("s.svs", 1, "ab"), _SCHEME, "me")
    store.insert(table(20))
    store.add_region(_REGION.vertices, reviewed=True, name="field")
    kept = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith((".lock", "m"))}
    store.close()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    return path


def _features(folder: Path) -> Path:
    values = np.arange(30 * 8, dtype=np.float16).reshape(30, 8)
    chunks = [(np.arange(30), values)]
    write_features(folder / "f.zarr", table(), 8, chunks, {"model": "m", "mpp": 0.5})
    return folder / "f.zarr"


def read_feature_folder(path: Path) -> None:
    """Check whether a folder contains features, and read them."""
    is_feature_file(path)
    read_features(path)


def _points(folder: Path) -> Path:
    return write_points_folder(folder / "p", n_images=1)


def read_points(path: Path) -> None:
    """Read a points-folder."""
    for image in read_points_folder(path, 0.5):
        np.asarray(image.image)


def _dataset(write: Callable[[Path], Path], name: str, split: str) -> Target:
    def read(path: Path) -> None:
        convert_dataset(name, path, path.parent / "converted", split)

    return Target(lambda folder: write(folder / "d"), read, share=1)


def _class_map(folder: Path) -> Path:
    path = folder / "map.json"
    path.write_text(
        '{"classes": {"a": "tumor", "b": ["tumor", "x"], "c": "*"}, "exhaustive": true}'
    )
    return path


def _config(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = plain_values(tiny_config(Path("rois"), Path("out")))
        path = folder / name
        if path.suffix == ".json":
            path.write_text(json.dumps({"config": data, "versions": {}}, indent=1))
        else:
            path.write_text(_toml(data))
        return path

    return make


def _toml(data: dict[str, object]) -> str:
    plain = {k: v for k, v in data.items() if not isinstance(v, dict) and v is not None}
    lines = [f"{k} = {json.dumps(v)}" for k, v in plain.items()]
    for name, part in data.items():
        if isinstance(part, dict):
            lines.append(f"[{name}]")
            lines += [
                f"{k} = {json.dumps(v)}"
                for k, v in part.items()
                if v is not None and not isinstance(v, dict)
            ]
    return "\n".join(lines) + "\n"


def _manifest(folder: Path) -> Path:
    roi = {"file": "a/0.jpg", "width_px": 256, "height_px": 256, "mpp": 0.25, "x_px": 0.0}
    roi |= {"y_px": 0.0, "tissue": 0.9, "n_nuclei": 3}
    source = {"name": "s.svs", "key": "a", "mpp": 0.25, "rois": [roi]}
    settings = {"roi_px": 256, "mpp": 0.25, "min_tissue": 0.2, "jpeg_quality": 90}
    data = {"format_version": 1, "settings": settings | {"nuclei": "points"}, "sources": [source]}
    (folder / "manifest.json").write_text(json.dumps(data, indent=1))
    return folder


_READ = read_nuclei_here
TARGETS = {
    "csv": Target(_ours("n.csv"), read_csv_as_the_window_does, 6),
    "csv.gz": Target(_ours("n.csv.gz"), read_csv_as_the_window_does),
    "tsv": Target(_ours("n.tsv"), read_csv_as_the_window_does),
    "csv-foreign": Target(_foreign_csv, read_csv_as_the_window_does, 6),
    "geojson": Target(_ours("n.geojson"), _READ, 8),
    "geojson-qupath": Target(_qupath, partial(_READ, outlines_are_nuclei=True), 8),
    "geojson.gz": Target(_ours("n.geojson.gz"), _READ),
    "geojson.zip": Target(_ours("n.geojson.zip"), _READ),
    "parquet": Target(_ours("n.parquet"), _READ, 8, isolated=True),
    "geoparquet": Target(_geoparquet, _READ, 8, isolated=True),
    "h5ad": Target(_ours("n.h5ad"), _READ, 12, isolated=True),
    "store": Target(_store, use_store, 6),
    "store-read": Target(_store, read_store, 8),
    "store-log": Target(_old_store, use_store, 3),
    "features": Target(_features, read_feature_folder),
    "points-folder": Target(_points, read_points),
    "brcam2c": _dataset(layouts.brcam2c, "brcam2c", "train"),
    "ocelot": _dataset(layouts.ocelot, "ocelot", "train"),
    "puma": _dataset(layouts.puma, "puma", "val"),
    "consep": _dataset(layouts.consep, "consep", "train"),
    "pannuke": _dataset(layouts.pannuke, "pannuke", "fold1"),
    "class-map": Target(_class_map, read_class_map, 4),
    "config-toml": Target(_config("c.toml"), read_pretrain_config, 4),
    "config-json": Target(_config("c.json"), read_pretrain_config, 4),
    "roi-manifest": Target(_manifest, read_manifest, 4),
}
