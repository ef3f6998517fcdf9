"""Time to read and write files of nuclei.

    python benchmarks/files.py --outlines hgsc_nuclei_wsi.parquet

Random nuclei are written to each format and read back. The outlines are 592,349 nuclei of a
published slide, inside the wheel of histolytics 0.3.0; they are read from GeoParquet, and from
GeoJSON in the form in which QuPath writes detections.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import shapely
import typer

from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table, read_nuclei, write_nuclei

CLASSES = ("lymphocyte", "stromal", "tumor")
SIDE_PX = 100_000


@contextmanager
def timed(what: str, **facts: Any) -> Iterator[None]:
    """Print one JSON line with the seconds the block took."""
    start = time.perf_counter()
    yield
    seconds = round(time.perf_counter() - start, 1)
    found = {"what": what, **facts, "seconds": seconds, "peak_rss_mb": peak_rss_mb()}
    typer.echo(json.dumps(found))


def write_outlines(source: Path, target: Path) -> None:
    """Outlines of a GeoParquet file in the form in which QuPath exports detections."""
    with target.open("wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        for i, batch in enumerate(pq.ParquetFile(source).iter_batches(20_000)):
            shapes = shapely.from_wkb(batch.column("geometry").to_numpy(zero_copy_only=False))
            names = batch.column("class_name").to_pylist()
            features = [
                {
                    "type": "Feature",
                    "geometry": orjson.Fragment(geometry),
                    "properties": {"objectType": "detection", "classification": {"name": name}},
                }
                for geometry, name in zip(shapely.to_geojson(shapes), names, strict=True)
            ]
            file.write((b"," if i else b"") + orjson.dumps(features)[1:-1])
        file.write(b"]}")


def main(
    nuclei: Annotated[int, typer.Option(help="Number of random nuclei.")] = 1_000_000,
    outlines: Annotated[
        Path | None, typer.Option(help="hgsc_nuclei_wsi.parquet of histolytics 0.3.0.")
    ] = None,
) -> None:
    """Print one JSON line per format and direction."""
    scheme = ClassScheme.from_names(CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        if outlines is not None:
            with timed("read outlines", format=".parquet"):
                found = read_nuclei(outlines)
            path = Path(folder) / "outlines.geojson"
            write_outlines(outlines, path)
            with timed("read outlines", format=".geojson", mb=path.stat().st_size >> 20):
                again = read_nuclei(path)
            assert np.allclose(found.table[["x", "y"]], again.table[["x", "y"]])
        rng = np.random.default_rng(0)
        table = nucleus_table(
            rng.uniform(0, SIDE_PX, nuclei),
            rng.uniform(0, SIDE_PX, nuclei),
            rng.choice(CLASSES, nuclei),
            rng.random(nuclei),
            model="model",
        )
        for suffix in (".csv", ".geojson", ".geojson.gz", ".parquet", ".h5ad"):
            path = Path(folder) / f"nuclei{suffix}"
            with timed("write", format=suffix):
                write_nuclei(path, NucleusFile(table, scheme, 0.25))
            with timed("read", format=suffix, mb=path.stat().st_size >> 20):
                read_nuclei(path)


if __name__ == "__main__":
    typer.run(main)
