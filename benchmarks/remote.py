"""What the way to a slide on the network costs: detection from the disk, and over http with delays.

    python benchmarks/remote.py SLIDE [--copies 3] [--delays-ms 0,50] [--repeats 3] [--json]

N x N copies of the slide lie side by side in one pyramidal TIFF, which a server on this machine
gives out; it lets each request wait for the delay. All take turns, with the slide opened anew each
time, so that another program on the machine slows all of them alike; the best of the repeats
counts. Opening, a dozen requests one after the other however large the slide is, is told apart.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from detect import side_by_side
from muse_core.detect import DetectConfig, Detector, open_backend
from muse_core.models.registry import resolve_model
from muse_core.slides import open_slide

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.slides.slide_server import slide_server


def main(
    slide: Annotated[Path, typer.Argument(help="The slide to measure on.")],
    model: Annotated[str, typer.Option(help="Name or file.")] = "muse-small",
    copies: Annotated[
        int, typer.Option(help="Of the slide side by side, and as many below each other.")
    ] = 3,
    delays_ms: Annotated[str, typer.Option(help="Before each answer.")] = "0,50",
    repeats: Annotated[int, typer.Option(help="Of each measurement.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line, no table.")] = False,
) -> None:
    """Measure and print a table."""
    config = DetectConfig(device="cpu")
    detector = Detector(open_backend(resolve_model(model), config), config)
    delays = [float(delay) for delay in delays_ms.split(",")]
    seconds: dict[str, list[float]] = {}
    opening: dict[str, list[float]] = {}
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = side_by_side(slide, None, copies, Path(folder))
        with slide_server(path.parent) as server:
            address = f"{server.address}/{path.name}"
            ways: list[tuple[str, Path | str, float]] = [("disk", path, 0.0)]
            ways += [(f"http, {delay:g} ms", address, delay) for delay in delays]
            # The first round loads kernels and fills caches, and does not count.
            for repeat in range(repeats + 1):
                for name, where, delay in ways:
                    server.delay_s = delay / 1e3
                    begin = time.perf_counter()
                    with open_slide(where) as opened:
                        ready = time.perf_counter()
                        found[name] = detector.detect(opened).nuclei.count
                    if repeat:
                        opening.setdefault(name, []).append(ready - begin)
                        seconds.setdefault(name, []).append(time.perf_counter() - ready)
    if len(set(found.values())) > 1:
        raise SystemExit(f"not the same nuclei: {found}")
    best = {name: min(times) for name, times in seconds.items()}
    if as_json:
        figures = {"opening_s": opening, "seconds": seconds}
        print(json.dumps({"model": model, "nuclei": found, **figures}))
        return
    print("| from | opening, s | detection, s | of the speed from the disk |\n|---|---|---|---|")
    for name, least in best.items():
        share = 100 * best["disk"] / least
        print(f"| {name} | {min(opening[name]):.2f} | {least:.2f} | {share:.0f}% |")


if __name__ == "__main__":
    typer.run(main)
