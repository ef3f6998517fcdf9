"""``kill -9`` at any moment: the same command resumes, with the files of an uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muse_core.detect.kept_run import unfinished_runs
from muse_core.jobs import DetectJob, run_job
from muse_core.jobs.events import Done, Event, Failed, NucleiFound
from muse_core.nuclei import read_nuclei

from ..job_inputs import write_model, write_slide

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
SETTINGS = {"tile_px": 256, "halo_px": 32}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> DetectJob:
    folder = tmp_path_factory.mktemp("resume")
    slide = write_slide(folder / "slide.png", 900, 700)
    model = write_model(folder / "tiny.safetensors")
    return DetectJob(str(slide), str(model), mpp=0.5, device="cpu", settings=SETTINGS)


@pytest.fixture(scope="module")
def uninterrupted(job: DetectJob, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("whole") / "n.csv"
    last = run_job(_to(job, out), lambda _: None)
    assert isinstance(last, Done), last
    assert last.result["tiles_total"] > 15
    return out.read_bytes()


def _to(job: DetectJob, out: Path) -> DetectJob:
    return DetectJob(**{**vars(job), "out_csv": str(out)})


def _killed(job: DetectJob, rng: random.Random) -> bool:
    """Start the job as a separate process, and kill it; returns whether it was still running."""
    out = Path(job.out_csv or "")
    process = subprocess.Popen(
        [sys.executable, "-m", "muse_core.jobs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
    process.stdin.flush()
    done = _logged(out)
    wanted = done + rng.randrange(25_000)
    while process.poll() is None and not out.exists() and _logged(out) < wanted:
        time.sleep(0.001)
    time.sleep(rng.random() * 0.05)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    return process.returncode == -signal.SIGKILL


def _logged(out: Path) -> int:
    """Bytes that tiles have reported so far."""
    logs = [run / "tiles.log" for run in unfinished_runs(out.with_name(f".{out.name}.muse"))]
    return sum(log.stat().st_size for log in logs if log.exists())


def _kill_and_finish(job: DetectJob, folder: Path, kills: int, seed: int) -> bytes:
    rng = random.Random(seed)
    out = folder / "n.csv"
    struck = 0
    for _ in range(kills):
        struck += _killed(_to(job, out), rng)
        out.unlink(missing_ok=True)
    assert struck
    last = run_job(_to(job, out), lambda _: None)
    assert isinstance(last, Done), last
    assert [p.name for p in folder.iterdir() if p.suffix != ".partial"] == ["n.csv"]
    return out.read_bytes()


def test_killed_a_few_times(job: DetectJob, uninterrupted: bytes, tmp_path: Path) -> None:
    assert _kill_and_finish(job, tmp_path, kills=3, seed=1) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_fifty_moments(
    job: DetectJob, uninterrupted: bytes, tmp_path: Path, seed: int
) -> None:
    assert _kill_and_finish(job, tmp_path, kills=5, seed=seed) == uninterrupted


@pytest.mark.parametrize("name", ["n.csv", "n.csv.gz", "n.parquet", "n.geojson", "n.h5ad"])
def test_a_cancelled_run_is_written_and_goes_on_in_every_format(
    job: DetectJob, uninterrupted: bytes, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    told = 0

    def count(_: object) -> None:
        nonlocal told
        told += 1

    part = run_job(_to(job, out), count, should_cancel=lambda: told > 8)
    assert part.name == "cancelled"
    assert part.message.endswith("The same command goes on from there.")
    kept = read_nuclei(out).table
    assert 0 < len(kept) == part.result["nuclei"]
    last = run_job(_to(job, out), lambda _: None)
    assert isinstance(last, Done)
    assert last.result["tiles_resumed"] == part.result["tiles_done"] > 0
    assert any("had been done by an earlier run" in note for note in last.result["notes"])
    assert [p.name for p in tmp_path.iterdir()] == [name]
    whole = tmp_path / "whole.csv"
    whole.write_bytes(uninterrupted)
    table, expected = read_nuclei(out), read_nuclei(whole)
    assert len(table.table) == len(expected.table) == last.result["nuclei"]
    for column in ("id", "class_name", "model"):
        assert table.table[column].tolist() == expected.table[column].tolist()
    assert abs(table.table[["x", "y"]] - expected.table[["x", "y"]]).to_numpy().max() < 0.001
    assert table.slide == expected.slide


def test_a_slide_that_was_renamed_and_moved_is_gone_on_with(job: DetectJob, tmp_path: Path) -> None:
    slide = Path(shutil.copy(job.slide, tmp_path / "slide.png"))
    told = 0

    def count(_: object) -> None:
        nonlocal told
        told += 1

    here = replace(_to(job, tmp_path / "n.csv"), slide=str(slide))
    part = run_job(here, count, should_cancel=lambda: told > 8)
    assert part.name == "cancelled"
    os.utime(slide, (0, 0))
    (tmp_path / "elsewhere").mkdir()
    there = slide.rename(tmp_path / "elsewhere" / "case 7.png")
    last = run_job(replace(here, slide=str(there)), lambda _: None)
    assert isinstance(last, Done), last
    assert last.result["tiles_resumed"] == part.result["tiles_done"] > 0
    recorded = read_nuclei(tmp_path / "n.csv").slide
    assert recorded is not None
    assert recorded.name == "case 7.png"


def test_places_that_cannot_be_read_are_told_and_noted_in_the_file(
    job: DetectJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muse_core.slides import Region, Slide

    read = Slide.read

    def spoilt(self: Slide, region: Region, *given: Any, **options: Any):  # type: ignore[no-untyped-def]
        if region.w < 300 and 300 < region.x < 700:
            raise OSError(5, "Input/output error")
        return read(self, region, *given, **options)

    monkeypatch.setattr(Slide, "read", spoilt)
    for name in ("n.parquet", "n.geojson"):
        out = tmp_path / name
        last = run_job(_to(job, out), lambda _: None)
        assert isinstance(last, Done)
        places = last.result["unreadable_px"]
        assert len(places) > 2
        (note,) = [n for n in last.result["notes"] if "could not be read" in n]
        assert note.startswith(f"{len(places)} places of the slide could not be read and hold no")
        assert "Input/output error" in note
        assert read_nuclei(out).unreadable_px == tuple(places)


def test_a_slide_that_is_taken_away_stops_the_run_and_it_goes_on(
    job: DetectJob, uninterrupted: bytes, tmp_path: Path
) -> None:
    slide, away, out = tmp_path / "slide.png", tmp_path / "away.png", tmp_path / "out" / "n.csv"
    out.parent.mkdir()
    slide.write_bytes(Path(job.slide).read_bytes())
    theirs = DetectJob(**{**vars(_to(job, out)), "slide": str(slide)})
    from muse_core.errors import UserError
    from muse_core.slides import Slide

    read = Slide.read
    reads = 0

    def gone(self: Slide, *given: object, **options: Any):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += 1
        if reads == 9:
            slide.rename(away)
        if reads >= 9:
            raise UserError("Cannot read.")
        return read(self, *given, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slide, "read", gone)
        last = run_job(theirs, lambda _: None)
    assert isinstance(last, Failed)
    assert "not there any more" in last.message
    assert last.message.endswith("The same command goes on from there.")
    assert not out.exists()
    away.rename(slide)
    last = run_job(theirs, lambda _: None)
    assert isinstance(last, Done)
    assert last.result["tiles_resumed"] > 0
    assert out.read_bytes() == uninterrupted


@pytest.mark.parametrize("how", ["grown", "replaced"])
def test_a_slide_that_is_written_while_it_is_read_has_no_result(
    job: DetectJob, tmp_path: Path, how: str
) -> None:
    slide, out = tmp_path / "slide.png", tmp_path / "n.csv"
    slide.write_bytes(Path(job.slide).read_bytes())
    other = write_slide(tmp_path / "other.png", 900, 700, seed=1)

    def change(event: Event) -> None:
        if isinstance(event, NucleiFound) and other.exists():
            if how == "replaced":
                other.replace(slide)
            else:
                slide.write_bytes(slide.read_bytes() + bytes(100))
                other.unlink()

    last = run_job(DetectJob(**{**vars(_to(job, out)), "slide": str(slide)}), change)
    assert isinstance(last, Failed)
    assert last.message.startswith("slide.png was changed or replaced while it was read")
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith("other")] == ["slide.png"]
