"""Speed and memory of detection, end to end and for the bare network, in one run.

    python benchmarks/detect.py SLIDE [--model M] [--device cpu] [--json]

*End to end* is what ``muse detect`` does after the model is loaded: tissue mask, reading, resizing,
network, merging. *Bare network* is the same model on the same tiles, already in memory as tensors.
Both are given per mm2 of tissue, so their ratio is what everything around the network costs. The
peak memory is that of ``muse detect`` in a fresh process, everything included.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer


def main(
    slide: Annotated[Path, typer.Argument(help="The slide to measure on.")],
    model: Annotated[str | None, typer.Option(help="Name or file of a model.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    mpp: Annotated[float | None, typer.Option(help="If the file does not say.")] = None,
    repeats: Annotated[int, typer.Option(help="Of each measurement; the median counts.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line, no table.")] = False,
) -> None:
    """Measure and print a table."""
    # As in the command line; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    figures = _measure(slide, model, device, mpp, repeats)
    figures["peak_rss_mb"] = _peak_memory(slide, model, device, mpp)
    print(json.dumps(figures) if as_json else _table(figures))


def _measure(
    path: Path, model: str | None, device: str, mpp: float | None, repeats: int
) -> dict[str, Any]:
    import torch

    from muse_core.detect import DetectConfig, Detector
    from muse_core.detect.area import SearchArea
    from muse_core.detect.plan import cheapest_plan
    from muse_core.models.checkpoint import load_model
    from muse_core.models.registry import resolve_model
    from muse_core.slides import open_slide, tissue_mask

    network = load_model(resolve_model(model))
    config = DetectConfig(device=device)
    detector = Detector(network, config)
    with open_slide(path, mpp=mpp) as slide:
        first = detector.detect(slide)
        whole = [detector.detect(slide).seconds for _ in range(repeats)]
        tissue = tissue_mask(slide)
        plan = cheapest_plan(
            SearchArea.within(slide.width, slide.height, None),
            network.card.mpp / slide.require_mpp(),
            config,
            lambda core: tissue.fraction(core) > config.min_tissue,
        )
        tiles = [slide.read(plan.read_region(tile), network.card.mpp) for tile in plan.tiles]
    bare = []
    for _ in range(repeats):
        begin = time.perf_counter()
        detector.backend.run(tiles, detector.min_score)
        bare.append(time.perf_counter() - begin)
    return {
        "slide": path.name,
        "model": network.card.name,
        "device": first.device,
        "nuclei": len(first.table),
        "tissue_mm2": round(first.tissue_mm2, 4),
        "end_to_end_mm2_per_s": round(first.tissue_mm2 / statistics.median(whole), 4),
        "bare_network_mm2_per_s": round(first.tissue_mm2 / statistics.median(bare), 4),
        "end_to_end_share": round(statistics.median(bare) / statistics.median(whole), 3),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _peak_memory(path: Path, model: str | None, device: str, mpp: float | None) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "muse_core.cli", "detect", str(path), "--json"]
        command += ["--out", str(Path(folder) / "nuclei.csv"), "--device", device]
        command += ["--model", model] if model else []
        command += ["--mpp", str(mpp)] if mpp else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_rss_mb"])


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in figures.items())])


if __name__ == "__main__":
    typer.run(main)
