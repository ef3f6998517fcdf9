r"""Effect of int8 on nuclei and time, compared with bfloat16 or float32.

    python benchmarks/precisions.py --data DATA [--models muse-small,muse-base]
    python benchmarks/precisions.py --data DATA \
        --models "WORK/random-500-0-without-{site}-finished.safetensors"

Prints a line per model and precision: F1 on BRCA-M2C val and on CoNSeP or, for models named with
{site}, on the hospital that each was trained without; the share of nuclei on a part of the demo
slide that the default precision also finds within half a micron, and the share of these with the
same class. Then the time of the networks for a tile of tissue, alternating, with its nuclei and,
at a threshold that none reaches, alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from muse_small import BREAST_SITES

from cross_validate import tiles_of
from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.detect import DetectConfig, Detector, open_backend
from muse_core.detect.backends.backend import InferenceBackend, Wanted
from muse_core.detect.backends.names import PRECISIONS
from muse_core.evaluate.detection import DetectionReport, score_tables
from muse_core.models.registry import resolve_model
from muse_core.slides import Region, open_slide

_PART = Region(640, 600, 780, 1400)
_TILE_PX = 1024
_WITHIN_PX = 1.0
"""Half a micron on the demo slide."""


@dataclass(frozen=True)
class Network:
    """A model in one precision."""

    model: str
    backend: InferenceBackend

    @property
    def name(self) -> str:
        """Its name in a table."""
        return f"{self.model} | {self.backend.precision}"


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    models: Annotated[str, typer.Option(help="Names or files of models.")] = "muse-small,muse-base",
    repeats: Annotated[int, typer.Option(help="Repeats of each network.")] = 5,
) -> None:
    """Print two tables."""
    networks = []
    print("| model | precision | F det | F avg | F det, CoNSeP | found too | same class |")
    print("|---|---|---|---|---|---|---|")
    for model in models.split(","):
        if "{site}" in model:
            for precision in PRECISIONS:
                print(f"| {Path(model).stem} | {_by_site(data, model, precision)} | | |")
            continue
        usual: pd.DataFrame | None = None
        for precision in PRECISIONS:
            network = Network(model, _backend(resolve_model(model), precision))
            networks.append(network)
            on_slide = _on_slide(network.backend, data)
            usual = on_slide if usual is None else usual
            print(f"| {network.name} | {_on_tiles(network.backend, data)} |", end=" ")
            print(f"{_agreement(on_slide, usual)} |", flush=True)
    _times(networks, data, repeats)


def _backend(path: Path, precision: str) -> InferenceBackend:
    config = DetectConfig(device="cpu", backend="openvino", precision=precision)
    return open_backend(path, config)


def _scored(backend: InferenceBackend, images: Sequence[AnnotatedImage]) -> DetectionReport:
    detector = Detector(backend)
    tables = [detector.detect_image(image.image, image.mpp) for image in images]
    return score_tables(images, tables, [c["name"] for c in backend.card.classes])


def _on_tiles(backend: InferenceBackend, data: Path) -> str:
    val = _scored(backend, read_points_folder(data / "brcam2c" / "val", 0.5))
    colon = _scored(backend, read_points_folder(data / "consep20x" / "train", 0.55))
    return f"{val.f_det:.4f} | {val.f_avg:.4f} | {colon.f_det:.4f}"


def _by_site(data: Path, pattern: str, precision: str) -> str:
    """Figures of the models on the tiles of the hospital that each was trained without."""
    reports = []
    for site in BREAST_SITES:
        backend = _backend(Path(pattern.format(site=site)), precision)
        reports.append(_scored(backend, tiles_of(data, site)))
    f_det, f_avg = ([getattr(r, name) for r in reports] for name in ("f_det", "f_avg"))
    sites = [" ".join(f"{value:.4f}" for value in values) for values in (f_det, f_avg)]
    means = (f"{np.mean(f_det):.4f} ({sites[0]})", f"{np.mean(f_avg):.4f} ({sites[1]})")
    return f"{backend.precision} | {' | '.join(means)}"


def _slide(data: Path) -> Path:
    return data / "slides" / "CMU-1-Small-Region.svs"


def _on_slide(backend: InferenceBackend, data: Path) -> pd.DataFrame:
    config = DetectConfig(device="cpu", tile_px=_TILE_PX)
    with open_slide(_slide(data)) as slide:
        return Detector(backend, config).detect(slide, _PART).table


def _agreement(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """The smaller share of both directions, and the classes of nuclei found by both."""
    shares, classes = [], []
    for a, b in ((one, other), (other, one)):
        distance, nearest = cKDTree(b[["x", "y"]]).query(a[["x", "y"]])
        near = distance <= _WITHIN_PX
        shares.append(near.mean())
        ours, theirs = a["class_name"].to_numpy(), b["class_name"].to_numpy()[nearest]
        classes.append((ours == theirs)[near].mean())
    return f"{min(shares):.3f} | {min(classes):.3f}"


def _times(networks: Sequence[Network], data: Path, repeats: int) -> None:
    with open_slide(_slide(data)) as slide:
        tile = np.ascontiguousarray(slide.read(Region(640, 600, _TILE_PX, _TILE_PX)))
    spent: dict[str, tuple[list[float], ...]] = {n.name: ([], []) for n in networks}
    for turn in range(repeats + 1):
        for network in networks:
            for values, min_score in zip(spent[network.name], (0.5, 1.0), strict=True):
                elapsed = _ns_a_pixel(network.backend, tile, min_score)
                # The first generates code for this tile size.
                if turn:
                    values.append(elapsed)
    if networks:
        print("\n| model | precision | ns a pixel, least | median | alone, least | median |")
        print("|---|---|---|---|---|---|")
    for name, both in spent.items():
        figures = [f"{min(values):.1f} | {np.median(values):.1f}" for values in both]
        print(f"| {name} | {' | '.join(figures)} |")


def _ns_a_pixel(
    backend: InferenceBackend, tile: np.ndarray[Any, np.dtype[np.uint8]], min_score: float
) -> float:
    """Wall-clock time, with as many tiles at a time as the network computes."""
    wanted = Wanted(min_score)
    tiles = 3 * backend.streams
    begun = time.perf_counter()
    with ThreadPoolExecutor(backend.streams) as pool:
        list(pool.map(lambda _: backend.run([tile], wanted), range(tiles)))
    return (time.perf_counter() - begun) * 1e9 / (tiles * tile[..., 0].size)


if __name__ == "__main__":
    typer.run(main)
