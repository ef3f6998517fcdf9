"""A real cluster of two worker processes gives the result of one process, even if a worker dies."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from muse_core.detect import DetectConfig
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.jobs import DetectJob, run_job
from muse_core.jobs.cluster import BAND_TILES, Band, Cluster, Network, WorkerState, connected
from muse_core.jobs.events import Cancelled, Done, Event, Failed, Progress

from ..cli.running import run
from ..job_inputs import write_model, write_slide

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as made:
        yield made


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> DetectJob:
    folder = tmp_path_factory.mktemp("cluster")
    slide = write_slide(folder / "slide.png", 1400, 1000)
    model = write_model(folder / "tiny.safetensors")
    settings = {"tile_px": 192, "halo_px": 32}
    return DetectJob(
        str(slide), str(model), mpp=0.5, device="cpu", backend="torch", settings=settings
    )


@pytest.fixture(scope="module")
def alone(job: DetectJob, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("alone") / "n.csv"
    last = run_job(replace(job, out_csv=str(out)), lambda _: None)
    assert isinstance(last, Done), last
    assert last.result["tiles_total"] > 60
    return out.read_bytes()


def test_a_worker_is_killed_midway(
    cluster: Any, job: DetectJob, alone: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "n.csv"
    workers = {w["pid"] for w in cluster_pids(cluster)}
    assert len(workers) == 2
    killed: list[int] = []

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and 0 < event.done < event.total and not killed:
            killed.append(workers.pop())
            os.kill(killed[0], signal.SIGKILL)

    theirs = replace(job, out_csv=str(out), scheduler=cluster.scheduler_address)
    last = run_job(theirs, emit)
    assert isinstance(last, Done), last
    assert killed
    assert out.read_bytes() == alone
    assert last.result["device"] == "cpu"
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]


@pytest.mark.parametrize(("tile_px", "focus"), [(1472, None), (192, (700.0, 500.0))])
def test_workers_take_tiles_in_the_order_of_the_plan(
    cluster: Any,
    job: DetectJob,
    tmp_path: Path,
    tile_px: int,
    focus: tuple[float, float] | None,
) -> None:
    """A large first tile is split; tiles around a focus come first."""
    settings = {"tile_px": tile_px, "halo_px": 32}
    mine = replace(job, settings=settings, focus=focus, out_csv=str(tmp_path / "mine.csv"))
    theirs = replace(
        mine, out_csv=str(tmp_path / "theirs.csv"), scheduler=cluster.scheduler_address
    )
    for wanted in (mine, theirs):
        assert isinstance(run_job(wanted, lambda _: None), Done)
    assert (tmp_path / "mine.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()


def test_a_run_that_one_process_began_a_cluster_goes_on_with(
    cluster: Any, job: DetectJob, alone: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "n.csv"
    told: list[Event] = []
    mine = replace(job, out_csv=str(out))
    part = run_job(mine, told.append, should_cancel=lambda: len(told) > 20)
    assert isinstance(part, Cancelled)
    last = run_job(replace(mine, scheduler=cluster.scheduler_address), lambda _: None)
    assert isinstance(last, Done), last
    assert last.result["tiles_resumed"] == part.result["tiles_done"] > 0
    assert out.read_bytes() == alone


def test_a_cancelled_run_on_a_cluster_keeps_what_was_found(
    cluster: Any, job: DetectJob, tmp_path: Path
) -> None:
    told: list[Progress] = []
    theirs = replace(job, out_csv=str(tmp_path / "n.csv"), scheduler=cluster.scheduler_address)
    last = run_job(
        theirs,
        lambda e: told.append(e) if isinstance(e, Progress) else None,
        should_cancel=lambda: any(0 < e.done < e.total for e in told),
    )
    assert isinstance(last, Cancelled)
    assert 0 < last.result["tiles_done"] < last.result["tiles_total"]


def test_many_slides(
    cluster: Any, job: DetectJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides").mkdir()
    for i in range(3):
        write_slide(tmp_path / "slides" / f"{i}.png", 300, 300, seed=i)
    options = ("--mpp", 0.5, "--model", job.model, "--device", "cpu", "--backend", "torch")
    address = ("--scheduler", cluster.scheduler_address, "--json")
    slides = tmp_path / "slides"
    assert run("detect", slides, "--out", tmp_path / "far", *options, *address) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["done"], figures["failed"]) == (3, [])
    assert run("detect", slides, "--out", tmp_path / "near", *options) == 0
    for i in range(3):
        near, far = (tmp_path / where / f"{i}.csv" for where in ("near", "far"))
        assert near.read_bytes() == far.read_bytes()
    # A single process does not repeat what a cluster has finished.
    capsys.readouterr()
    assert run("detect", slides, "--out", tmp_path / "far", *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 3


def test_a_slide_that_workers_cannot_read_is_one_sentence(
    cluster: Any, job: DetectJob, tmp_path: Path
) -> None:
    def hide(_: Event) -> None:
        slide.rename(tmp_path / "away.png") if slide.exists() else None

    slide = tmp_path / "s.png"
    slide.write_bytes(Path(job.slide).read_bytes())
    theirs = replace(
        job, slide=str(slide), out_csv=str(tmp_path / "n.csv"), scheduler=cluster.scheduler_address
    )
    last = run_job(theirs, hide)
    assert isinstance(last, Failed)
    assert not last.detail
    assert "s.png" in last.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ETIMEDOUT])
def test_what_the_system_refuses_to_a_worker_is_not_a_lost_connection(
    cluster: Any, number: int
) -> None:
    """ETIMEDOUT, as of a share, is the error by which waiting for a task ends, too."""
    reason = os.strerror(number)

    def fail() -> None:
        raise OSError(number, reason)

    with distributed.Client(cluster, set_as_default=False) as client:
        task = client.submit(fail, pure=False)
        with pytest.raises(UserError, match=rf"^A worker failed: .*{reason}\.$"):
            Cluster(client)._answer(task, lambda: False)


def test_a_model_that_is_replaced_is_loaded_again(tmp_path: Path) -> None:
    state, path = WorkerState(), tmp_path / "m.safetensors"
    config = asdict(DetectConfig(device="cpu", backend="torch"))
    for classes in (("lymphocyte", "tumor"), ("cat", "dog")):
        model = write_model(path, classes)
        _, network = state.detector(str(model), config)
        assert network.model == sha256_of(model)
        assert state.detector(str(model), config)[1] is network


def test_what_workers_log_of_a_task_holds_no_password() -> None:
    network = Network("1", "m", "torch", "cpu", "float32", 512, prepares_sizes=False)
    slide = ("https://bob:hunter2@host/a.svs", None, (None, None, None))
    band = Band("m", {}, slide, (), None, "plan", (0, 1), network)
    assert "tiles=(0, 1)" in repr(band)
    assert "hunter2" not in repr(band)


def test_no_scheduler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_core.jobs.cluster._CONNECT_S", 1)
    with pytest.raises(UserError, match="no dask scheduler at"):
        connected("tcp://127.0.0.1:9")


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_another_server_is_no_scheduler(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_core.jobs.cluster._CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        accepted = thread.submit(_greet_one, server, greeting)
        with pytest.raises(UserError, match=r"no dask scheduler at .* dashboard 8787"):
            connected(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        accepted.result().close()


def _greet_one(server: socket.socket, greeting: bytes) -> socket.socket:
    visitor, _ = server.accept()
    visitor.sendall(greeting)
    return visitor


def cluster_pids(cluster: Any) -> list[dict[str, int]]:
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        return [{"pid": pid} for pid in client.run(os.getpid).values()]


def test_the_page_on_clusters_says_how_large_a_task_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "many-slides.md"
    assert f"bands of {BAND_TILES} tiles" in page.read_text(encoding="utf-8")
