"""Peak memory of ``muse detect`` over a slide of 100,000 x 100,000 px with a million nuclei.

    python benchmarks/large_slide.py [--side 100000] [--nuclei 1800000] [--no-half-jpeg]
        [--tile-px N] [--json]

The slide is synthetic: a pyramidal BigTIFF whose tiles all refer to the same compressed pixels, so
that the file is small although every tile is read, decoded and searched. The network is a small one
of random weights; its threshold is chosen so that it yields about the requested number of nuclei.
What is measured is everything around the network: reading, merging, storing, writing. The whole
slide and a quarter of it run in separate processes.

Two things grow with the area up to a limit: up to 134 MB of decoded tiles are cached, which a
quarter of 27,000 px fills, or one of 13,440 px without ``half_jpeg``; and a small area may not have
tiles of the largest size, so --tile-px gives both the same.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import imagecodecs
import numpy as np
import typer

_TILE_PX = 512
_SPACING_PX = 32
_PROBE_PX = 4096


def main(
    side: Annotated[int, typer.Option(help="Side of the slide in pixels of 0.25 um.")] = 100_000,
    nuclei: Annotated[
        int, typer.Option(help="Target; the threshold leaves 0.6 to 1.5 times as many.")
    ] = 1_800_000,
    suffix: Annotated[str, typer.Option(help="Format of the output.")] = ".csv",
    half_jpeg: Annotated[
        bool, typer.Option(help="Decode at half size as detection does, else at full size.")
    ] = True,
    tile_px: Annotated[
        int | None, typer.Option(help="Tile size; default: as in detection.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line, no table.")] = False,
) -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        slide, model = folder / "slide.tiff", folder / "small.safetensors"
        write_large_slide(slide, side)
        write_small_model(model)
        score = _score_for(slide, model, folder, nuclei * (_PROBE_PX / side) ** 2, side)
        settings = [f"half_jpeg={str(half_jpeg).lower()}"]
        settings += [] if tile_px is None else [f"tile_px={tile_px}"]
        figures = {
            name: _detect(slide, model, folder / f"{name}{suffix}", score, part, settings)
            for name, part in (("quarter", side // 2), ("whole", side))
        }
        if as_json:
            print(json.dumps({"side_px": side, "suffix": suffix, **figures}))
            return
        print("| part | nuclei | tiles | seconds | peak RSS, MB |\n|---|---|---|---|---|")
        for name, f in figures.items():
            row = (f"{f['nuclei']:,}", f["tiles_total"], f["seconds"], f["peak_rss_mb"])
            print(f"| {name} | {' | '.join(map(str, row))} |")


def write_large_slide(path: Path, side: int) -> None:
    """A pyramidal BigTIFF of one repeated JPEG tile per level, 0.25 um/px and no level of 0.5."""
    levels: list[tuple[int, bytes]] = []
    step = 1
    while side // step >= _TILE_PX or not levels:
        levels.append((side // step, bytes(imagecodecs.jpeg_encode(_pixels(step), level=90))))
        step *= 4
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        link = 8
        for number, (px, jpeg) in enumerate(levels):
            link = _write_level(file, link, px, jpeg, number > 0)


def _pixels(step: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Discs of many sizes on a pink background, (512, 512, 3), which repeats without a seam."""
    rgb = np.full((_TILE_PX, _TILE_PX, 3), (230, 190, 210), np.uint8)
    spacing = max(2, _SPACING_PX * 2 // step)
    rng = np.random.default_rng(step)
    for y in range(0, _TILE_PX, spacing):
        for x in range(0, _TILE_PX, spacing):
            radius = spacing * rng.uniform(0.1, 0.4)
            rows, columns = np.mgrid[:spacing, :spacing] - spacing / 2 + 0.5
            rgb[y : y + spacing, x : x + spacing][np.hypot(rows, columns) < radius] = (70, 40, 120)
    return rgb


def _write_level(file: Any, link: int, px: int, jpeg: bytes, reduced: bool) -> int:
    """Append a level and link it to the chain at ``link``; returns the next link."""
    across = -(-px // _TILE_PX)
    count = across * across
    data = file.seek(0, 2)
    file.write(jpeg)
    offsets = file.tell()
    file.write(np.full(count, data, "<u8").tobytes())
    counts = file.tell()
    file.write(np.full(count, len(jpeg), "<u8").tobytes())
    # Values of up to eight bytes are stored in the tag itself.
    bits, per_cm = 8 | 8 << 16 | 8 << 32, 40_000 | 1 << 32
    if count == 1:
        offsets, counts = data, len(jpeg)
    tags = [
        (254, 4, 1, int(reduced)), (256, 4, 1, px), (257, 4, 1, px), (258, 3, 3, bits),
        (259, 3, 1, 7), (262, 3, 1, 6), (277, 3, 1, 3), (282, 5, 1, per_cm), (283, 5, 1, per_cm),
        (284, 3, 1, 1), (296, 3, 1, 3), (322, 3, 1, _TILE_PX), (323, 3, 1, _TILE_PX),
        (324, 16, count, offsets), (325, 16, count, counts),
    ]  # fmt: skip
    start = file.tell()
    file.write(struct.pack("<Q", len(tags)))
    for tag in tags:
        file.write(struct.pack("<HHQQ", *tag))
    following = file.tell()
    file.write(struct.pack("<Q", 0))
    file.seek(link)
    file.write(struct.pack("<Q", start))
    return int(following)


def write_small_model(path: Path) -> None:
    """A network of random weights that responds to discs."""
    import torch

    from muse_core.models.card import ModelCard
    from muse_core.models.checkpoint import save_model
    from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
    from muse_core.models.muse_model import MuseModel
    from muse_core.nuclei import ClassScheme

    torch.manual_seed(0)
    backbone = BackboneConfig("resnet10t", (8, 8, 8, 8), 8, encoder_channels=(8, 16, 32, 64))
    config = ModelConfig(backbone, HeadConfig(hidden_channels=8))
    classes = ClassScheme.from_names(("lymphocyte", "tumor")).to_json()
    model = MuseModel(ModelCard("small", config.to_json(), 0.5, 256, classes, 0.01))
    torch.nn.init.normal_(model.point_head.out.weight, std=30.0)
    save_model(model, path, half=False)


def _score_for(slide: Path, model: Path, folder: Path, wanted: float, side: int) -> float:
    """The threshold that leaves about this number of nuclei in a probe of the slide."""
    from muse_core.nuclei import read_csv

    out = folder / "probe.csv"
    _detect(slide, model, out, 0.0001, min(side, _PROBE_PX))
    scores = np.sort(read_csv(out)["score"].to_numpy())[::-1]
    return float(scores[min(len(scores) - 1, int(wanted))])


def _detect(
    slide: Path,
    model: Path,
    out: Path,
    score: float,
    side: int,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    command = [sys.executable, "-m", "muse_core.cli", "detect", slide, "--out", out]
    command += ["--model", model, "--min-score", score, "--region", f"0,0,{side},{side}", "--json"]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    typer.run(main)
