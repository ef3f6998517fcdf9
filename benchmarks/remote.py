"""Cost of reading a slide over the network: detection from disk, and over http with delays.

    python benchmarks/remote.py SLIDE [--copies 3] [--delays-ms 0,50] [--repeats 3] [--json]

N x N copies of the slide lie side by side in one pyramidal TIFF, which servers on this machine, in
separate processes, serve; each delays its responses. All alternate, with the slide opened anew each
time, so that other load on the machine affects all of them alike; reported are the best of the
repeats and the lowest CPU time, without that of the servers. Opening takes a dozen sequential
requests whatever the size of the slide, and is reported separately.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer

from muse_core.detect import DetectConfig, Detector, open_backend
from muse_core.models.registry import resolve_model
from muse_core.slides import open_slide
from tile_sizes import side_by_side

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.slides.slide_server import slide_server


def main(
    slide: Annotated[Path, typer.Argument(help="The slide to measure on.")],
    model: Annotated[str, typer.Option(help="Name or file of the model.")] = "muse-small",
    copies: Annotated[int, typer.Option(help="Copies of the slide along each side.")] = 3,
    delays_ms: Annotated[str, typer.Option(help="Delays of each response.")] = "0,50",
    repeats: Annotated[int, typer.Option(help="Repeats of each measurement.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line, no table.")] = False,
) -> None:
    """Measure and print a table."""
    config = DetectConfig(device="cpu")
    detector = Detector(open_backend(resolve_model(model), config), config)
    delays = [float(delay) for delay in delays_ms.split(",")]
    seconds: dict[str, list[float]] = {}
    opening: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        path = side_by_side(slide, None, copies, Path(folder))
        ways: list[tuple[str, Path | str]] = [("disk", path)]
        for delay in delays:
            address = servers.enter_context(_served(path.parent, delay / 1e3))
            ways.append((f"http, {delay:g} ms", f"{address}/{path.name}"))
        # The first round loads kernels and fills caches, and is not counted.
        for repeat in range(repeats + 1):
            for name, where in ways:
                begin = time.perf_counter()
                with open_slide(where) as opened:
                    ready, worked = time.perf_counter(), time.process_time()
                    found[name] = detector.detect(opened).nuclei.count
                if repeat:
                    opening.setdefault(name, []).append(ready - begin)
                    seconds.setdefault(name, []).append(time.perf_counter() - ready)
                    processor.setdefault(name, []).append(time.process_time() - worked)
    if len(set(found.values())) > 1:
        raise SystemExit(f"not the same nuclei: {found}")
    best = {name: min(times) for name, times in seconds.items()}
    if as_json:
        figures = {"opening_s": opening, "seconds": seconds, "processor_s": processor}
        print(json.dumps({"model": model, "nuclei": found, **figures}))
        return
    print("| from | opening, s | detection, s | of the speed from the disk | processor, s |")
    print("|---|---|---|---|---|")
    for name, least in best.items():
        share = 100 * best["disk"] / least
        row = f"{min(opening[name]):.2f} | {least:.2f} | {share:.0f}% | {min(processor[name]):.2f}"
        print(f"| {name} | {row} |")


@contextmanager
def _served(folder: Path, delay_s: float) -> Iterator[str]:
    """A process that serves a folder, and its address."""
    ours, theirs = get_context("spawn").Pipe()
    server = get_context("spawn").Process(target=_serve, args=(folder, delay_s, theirs))
    server.start()
    # So that a server that cannot start is noticed.
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        server.join()


def _serve(folder: Path, delay_s: float, told: Connection) -> None:
    with slide_server(folder) as server:
        server.delay_s = delay_s
        told.send(server.address)
        told.recv()


if __name__ == "__main__":
    typer.run(main)
