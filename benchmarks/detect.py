"""Speed, start-up time and memory of detection: the network alone and end to end, in one run.

    python benchmarks/detect.py SLIDE [--models muse-small,muse-base] [--repeats 5] [--json]

*Bare* is the network with thresholding and classes on tiles in memory, as many at a time as the
network has streams; *cores* is the same on the tiles without their halos, which is the cost of the
area alone; *whole* is all that ``muse detect`` does once the model is loaded, from opening the
slide to the last line of the CSV file. ``--copies N`` measures on N x N copies of the slide side by
side, and ``--finer`` on pixels of half the size, with grain as from a camera, and no level in
between: a 40x slide made from a 20x one. All combinations of model and backend alternate, so that
other load on the machine affects all of them alike; speed is the best of the repeats, CPU time,
which other load affects less, the median. *First nuclei* is the time from the start of a process to
its first nuclei, and that of a process already waiting for a job.
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
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import psutil
import typer

from tile_sizes import side_by_side

if TYPE_CHECKING:
    from muse_core.array_types import RgbArray
    from muse_core.detect import Detector
    from muse_core.detect.plan import TilePlan
    from muse_core.models.device_names import DeviceName
    from muse_core.slides import Region, Slide

_LOADED_AFTER_S = 20
_DECODING = "of which decoding"
_AREAS = (0.25, 0.5, 1.0)


def main(
    slide: Annotated[Path, typer.Argument(help="The slide to measure on.")],
    models: Annotated[str, typer.Option(help="Names or files.")] = "muse-small,muse-base",
    backends: Annotated[
        str, typer.Option(help="Comma-separated: torch, openvino.")
    ] = "torch,openvino",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    mpp: Annotated[
        float | None, typer.Option(help="Microns per pixel, if the file states none.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Largest side of a tile with its halo; default: by memory.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Repeats of each measurement.")] = 5,
    copies: Annotated[int, typer.Option(help="Copies of the slide along each side.")] = 1,
    finer: Annotated[
        bool, typer.Option(help="Pixels of half the size, as in a 40x slide.")
    ] = False,
    processes: Annotated[bool, typer.Option(help="Measure start-up time and memory too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line, no tables.")] = False,
) -> None:
    """Measure and print tables."""
    # As in the command line; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    names = [(m, b) for m in models.split(",") for b in backends.split(",")]
    runs = [Run(*name) for name in names]
    if processes:
        for run in runs:
            run.figures.update(_processes(slide, run, device, mpp, repeats))
    with tempfile.TemporaryDirectory() as folder:
        made = copies > 1 or finer
        measured = side_by_side(slide, mpp, copies, Path(folder), finer) if made else slide
        _measure(measured, runs, device, mpp, tile, repeats)
    facts = {
        "slide": slide.name,
        "copies": copies**2,
        "finer": finer,
        "tile_px": tile,
        **_machine(),
    }
    found = {**facts, "runs": [r.row() for r in runs]}
    print(json.dumps(found) if as_json else _tables(found))


@dataclass
class Run:
    """Measurements of a model with a backend."""

    model: str
    backend: str
    tissue_mm2: float = 0.0
    wall: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    figures: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The figures, ready to be printed."""
        area = self.tissue_mm2
        spent = sum(v for k, v in self.stages.items() if k != _DECODING) or 1.0
        shares = {f"{k} %": round(100 * v / spent, 1) for k, v in _descending(self.stages)}
        bare, cores, whole = (statistics.median(self.cpu[k]) for k in ("bare", "cores", "whole 1"))
        quarter = statistics.median(self.cpu[f"whole {_AREAS[0]:g}"])
        return {
            "model": self.model,
            "backend": self.backend,
            "bare mm2/s": round(area / min(self.wall["bare"]), 3),
            "cores mm2/s": round(area / min(self.wall["cores"]), 3),
            "whole mm2/s": round(area / min(self.wall["whole 1"]), 3),
            "whole/bare": round(min(self.wall["bare"]) / min(self.wall["whole 1"]), 2),
            "whole/cores": round(min(self.wall["cores"]) / min(self.wall["whole 1"]), 2),
            "bare cpu s/mm2": round(bare / area, 3),
            "cores cpu s/mm2": round(cores / area, 3),
            "whole cpu s/mm2": round(whole / area, 3),
            "bare/whole by cpu": round(bare / whole, 2),
            "cores/whole by cpu": round(cores / whole, 2),
            "whole cpu s/mm2 at a quarter": round(quarter / self.figures["smallest_mm2"], 3),
            **self.figures,
            "stages": shares,
        }


def _measure(
    path: Path,
    wanted: list[Run],
    device: str,
    mpp: float | None,
    tile: int | None,
    repeats: int,
) -> None:
    from muse_core.detect import DetectConfig, Detector, open_backend
    from muse_core.jobs.processor import give_large_blocks_back
    from muse_core.models.registry import resolve_model
    from muse_core.slides import Region, open_slide

    # As in the jobs: memory allocation takes time too.
    give_large_blocks_back()
    runs: list[tuple[Run, Detector]] = []
    for run in wanted:
        config = DetectConfig(device=device, backend=run.backend, tile_px=tile)
        runs.append((run, Detector(open_backend(resolve_model(run.model), config), config)))
    with open_slide(path, mpp=mpp) as slide:
        parts = [Region(0, 0, slide.width, slide.height * share) for share in _AREAS]
        plans = [detector.search(slide, None).plan for _, detector in runs]
        tiles = [_pixels_of(slide, plan) for plan in plans]
        for (run, _), plan in zip(runs, plans, strict=True):
            run.figures["tiles"] = len(plan.tiles)
            run.figures["read px/px"] = round(plan.network_px / plan.core_px, 3)
        # The first round loads kernels and fills caches, and is not counted.
        for repeat in range(repeats + 1):
            for (run, detector), (seen, cells) in zip(runs, tiles, strict=True):
                counted = run if repeat else Run(run.model, run.backend)
                with _timed(counted, "bare"):
                    _bare(detector, seen)
                with _timed(counted, "cores"):
                    _bare(detector, cells)
                for share, part in zip(_AREAS, parts, strict=True):
                    stages = counted.stages if share == 1 else defaultdict(float)
                    # The job opens the slide anew, so that no tile is decoded yet.
                    with _staged(stages), _timed(counted, f"whole {share:g}"):
                        result = _whole(path, run, detector, slide.mpp, part)
                    if share == _AREAS[0]:
                        run.figures["smallest_mm2"] = round(result["tissue_mm2"], 4)
                run.tissue_mm2 = result["tissue_mm2"]
                run.figures |= {
                    "nuclei": result["nuclei"],
                    "tissue_mm2": round(result["tissue_mm2"], 4),
                    "precision": result["precision"],
                }


def _whole(
    path: Path, run: Run, detector: Detector, mpp: float | None, part: Region
) -> Mapping[str, Any]:
    """The job of ``muse detect`` with a loaded model; returns its figures."""
    from muse_core.jobs import DetectJob
    from muse_core.jobs.detect_job import run_detect

    with tempfile.TemporaryDirectory() as folder:
        job = DetectJob(
            str(path),
            run.model,
            str(Path(folder) / "nuclei.csv"),
            mpp,
            (part.x, part.y, part.w, part.h),
            device=cast("DeviceName", detector.config.device),
            settings={"tile_px": detector.config.tile_px},
            backend=run.backend,
        )
        return run_detect(job, lambda _: None, lambda: False, lambda *_: detector).result


def _bare(detector: Detector, images: list[RgbArray]) -> None:
    """The network, on all its streams."""
    from muse_core.detect.backends.backend import Wanted

    wanted = Wanted(detector.min_score)
    with ThreadPoolExecutor(detector.backend.streams) as pool:
        list(pool.map(lambda image: detector.backend.run([image], wanted), images))


def _pixels_of(slide: Slide, plan: TilePlan) -> tuple[list[RgbArray], list[RgbArray]]:
    """All tiles as the network sees them, and views of their cells alone."""
    from muse_core.detect.resize import padded_to

    mpp, halo = plan.scale * slide.require_mpp(), plan.halo_px
    seen, cells = [], []
    for tile in plan.tiles:
        height, width = plan.core_size(tile)
        image = slide.read(plan.read_region(tile), mpp)
        seen.append(padded_to(image, plan.network_size(tile)))
        cells.append(image[halo : halo + height, halo : halo + width])
    return seen, cells


def _descending(spent: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(spent.items(), key=lambda item: -item[1])


@contextmanager
def _timed(run: Run, what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    run.cpu[what].append(time.process_time() - cpu)
    run.wall[what].append(time.perf_counter() - wall)


@contextmanager
def _staged(spent: dict[str, float]) -> Iterator[None]:
    """Count CPU seconds by stage; time not spent in our threads is attributed to the network."""
    from muse_core.detect import detector as module
    from muse_core.detect.backends.numpy_heads import NumpyHeads
    from muse_core.jobs import detect_job
    from muse_core.slides.level import Level

    own: dict[str, float] = defaultdict(float)
    changed: list[tuple[Any, str, Any]] = []

    def watch(owner: Any, name: str, stage: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                own[stage] += time.thread_time() - begin

        changed.append((owner, name, original))
        setattr(owner, name, watched)

    watch(module.Detector, "_read", "read and resize")
    watch(module, "tissue_mask", "tissue mask")
    watch(Level, "_piece", _DECODING)
    watch(NumpyHeads, "detections", "nuclei")
    watch(module.Detector, "detect", "this thread")
    watch(detect_job, "nuclei_found", "events")
    watch(detect_job, "_write", "the file")
    begin = time.process_time()
    try:
        yield
    finally:
        for owner, name, original in changed:
            setattr(owner, name, original)
    whole = time.process_time() - begin
    # Part of reading, and of the tissue mask.
    spent[_DECODING] += own.pop(_DECODING, 0.0)
    own["plan and merging"] = own.pop("this thread") - own["tissue mask"] - own["events"]
    for stage, seconds in own.items():
        spent[stage] += seconds
    spent["network"] += whole - sum(own.values())


def _processes(
    path: Path, run: Run, device: str, mpp: float | None, repeats: int
) -> dict[str, Any]:
    """Start-up time and memory, each measured in a separate process."""
    job = {"kind": "detect", "slide": str(path), "model": run.model, "mpp": mpp}
    job |= {"device": device, "backend": run.backend}
    found: dict[str, Any] = {}
    for name, ready_for in (("cold", ()), ("waiting", (run.model, device))):
        if ready_for and run.backend != "openvino":
            continue  # a waiting process uses the backend of auto
        tries = [_first_nuclei(job, ready_for) for _ in range(repeats)]
        found[f"first nuclei s, {name}"] = round(min(t[0] for t in tries), 2)
        found[f"first nuclei cpu s, {name}"] = round(statistics.median(t[1] for t in tries), 2)
        found["peak_rss_mb"] = max(float(t[2]["peak_rss_mb"]) for t in tries)
    return found


def _first_nuclei(
    job: dict[str, Any], ready_for: tuple[str, ...]
) -> tuple[float, float, dict[str, Any]]:
    """Seconds and CPU seconds to the first nuclei, and the result."""
    command = [sys.executable, "-m", "muse_core.jobs", *ready_for]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    if ready_for:
        time.sleep(_LOADED_AFTER_S)
        begin = time.perf_counter()
    before = _cpu_s(process.pid)
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    first = cpu = 0.0
    last: dict[str, Any] = {}
    for line in process.stdout:
        last = json.loads(line)
        if last["event"] == "nuclei" and not first:
            first = time.perf_counter() - begin
            cpu = _cpu_s(process.pid) - before
    process.wait()
    if last.get("event") != "done":
        raise SystemExit(f"the job ended with {last}")
    return first, cpu, dict(last["result"])


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _machine() -> dict[str, Any]:
    import openvino
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "torch": torch.__version__,
        "openvino": openvino.__version__.partition("-")[0],
        "date": datetime.now(UTC).date().isoformat(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _tables(found: dict[str, Any]) -> str:
    rows = found["runs"]
    facts = ", ".join(f"{k} {v}" for k, v in found.items() if k != "runs")
    lines = [facts, ""]
    named = dict.fromkeys(key for row in rows for key in row if key != "stages")
    for keys in (list(named), sorted(rows[0]["stages"])):
        lines.append("| | " + " | ".join(f"{r['model']}, {r['backend']}" for r in rows) + " |")
        lines.append("|---|" + "---|" * len(rows))
        for key in keys:
            values = [row.get(key, row["stages"].get(key)) for row in rows]
            lines.append(f"| {key} | " + " | ".join(map(str, values)) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
