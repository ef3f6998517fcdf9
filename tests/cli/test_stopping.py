"""``kill`` and a closed terminal end each command like Ctrl-C: results so far are kept."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.classify.feature_file import read_features
from muse_core.nuclei import nucleus_table, read_csv, write_csv
from muse_core.slides import Slide
from muse_core.strict import plain_values

from ..job_inputs import write_model, write_points_folder, write_slide
from ..pretrain.roi_folder import tiny_config, write_rois
from .running import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
SIGNALS = [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Restore the default handling of signals, which ``nohup`` would ignore."""
    before = [signal.signal(number, signal.SIG_DFL) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    return write_slide(tmp_path / "s.png", 3000, 250), write_model(tmp_path / "m.safetensors")


@pytest.fixture
def asked_while_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Send a signal twice, as a closing terminal does, while the third tile is read."""

    def prepare(number: signal.Signals) -> None:
        reads, read = itertools.count(), Slide.read

        def asked(self: Slide, *given: object, **options: Any) -> Any:
            if next(reads) == 3:
                signal.raise_signal(number)
                signal.raise_signal(number)
            return read(self, *given, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(Slide, "read", asked)

    return prepare


@pytest.mark.parametrize("number", SIGNALS)
def test_detect(
    inputs: tuple[Path, Path],
    asked_while_reading: Callable[[signal.Signals], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    slide, model = inputs
    asked_while_reading(number)
    out = tmp_path / "n.csv"
    (tmp_path / "small.toml").write_text("tile_px = 256\nhalo_px = 32\n")
    options = ("--mpp", 0.5, "--model", model, "--config", tmp_path / "small.toml", "--json")
    assert run("detect", slide, "--out", out, *options) == 130
    figures = json.loads(capsys.readouterr().out)
    assert figures["cancelled"]
    assert 0 < figures["tiles_done"] < figures["tiles_total"]
    assert len(read_csv(out)) == figures["nuclei"] > 0


@pytest.mark.parametrize("number", SIGNALS)
def test_features(
    inputs: tuple[Path, Path],
    asked_while_reading: Callable[[signal.Signals], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    slide, model = inputs
    x = np.linspace(20, 2980, 60)
    write_csv(nucleus_table(x, x * 0 + 100, "a"), tmp_path / "n.csv", 0.5)
    asked_while_reading(number)
    out = tmp_path / "f.zarr"
    options = ("--points", tmp_path / "n.csv", "--model", model, "--mpp", 0.5, "--json")
    assert run("features", slide, "--out", out, *options) == 130
    figures = json.loads(capsys.readouterr().out)
    there = np.isfinite(read_features(out).features).all(axis=1)
    assert 0 < there.sum() == figures["done"] < 60


def test_features_stopped_before_the_first_leave_earlier_ones(
    inputs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slide, model = inputs
    write_csv(nucleus_table([100.0], [100.0], "a"), tmp_path / "n.csv", 0.5)
    out = tmp_path / "f.zarr"
    options = ("--points", tmp_path / "n.csv", "--model", model, "--mpp", 0.5)
    assert run("features", slide, "--out", out, *options) == 0
    earlier = read_features(out).features
    monkeypatch.setattr("muse_core.cli.images.say_notes", lambda _: signal.raise_signal(SIGNALS[0]))
    assert run("features", slide, "--out", out, *options) == 130
    assert "before the first of 1 nucleus; nothing is written." in capsys.readouterr().err
    np.testing.assert_array_equal(read_features(out).features, earlier)
    assert np.isfinite(earlier).all()


@pytest.mark.parametrize("number", SIGNALS)
def test_rois(
    inputs: tuple[Path, Path],
    asked_while_reading: Callable[[signal.Signals], None],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    slide, _ = inputs
    write_csv(nucleus_table([10.0], [20.0], "a"), tmp_path / "n.csv", 0.5)
    asked_while_reading(number)
    out = tmp_path / "rois"
    options = ("--points", tmp_path / "n.csv", "--mpp", 0.5, "--roi-mpp", 0.5, "--roi-px", 256)
    assert run("rois", slide, "--out", out, *options) == 130
    kept = {p: p.stat().st_mtime_ns for p in out.rglob("*.tif")}
    assert kept
    assert run("rois", slide, "--out", out, *options) == 0
    assert len(list(out.rglob("*.tif"))) == 12
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "what was there is not cut again"


@contextmanager
def _asked_once_there(path: Path, number: signal.Signals) -> Iterator[None]:
    """Ask this process to stop as soon as a file exists, unless the command ends before."""
    ended = threading.Event()

    def watch() -> None:
        while not path.exists():
            if ended.wait(0.01):
                return
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(("mode", "number"), [("full", SIGNALS[0]), ("adapt", SIGNALS[1])])
def test_finetune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, number: signal.Signals
) -> None:
    folder = write_points_folder(tmp_path / "train")
    model, out = write_model(tmp_path / "base.safetensors"), tmp_path / "m.safetensors"
    options = ["--train", folder, "--mpp", 0.5, "--model", model, "--mode", mode, "--device", "cpu"]
    options += ["--steps", 100_000, "--validate-every", 2, "--json", "--batch", 1]
    if mode == "full":
        options += ["--sample-px", 64]
    with _asked_once_there(tmp_path / "m.checkpoint", number):
        assert run("finetune", *options, "--out", out) == 130
    figures = json.loads(capsys.readouterr().out)
    assert figures["cancelled"]
    assert 0 < figures["steps_done"] < 100_000
    assert out.is_file()
    assert (tmp_path / "m.checkpoint").is_file()
    assert not list(tmp_path.glob(".*"))


def test_pretrain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(write_rois(tmp_path / "rois"), tmp_path / "run")
    values = plain_values(config)
    values["schedule"]["epochs"] = 10_000
    values["checkpoint_steps"] = 1
    (tmp_path / "c.json").write_text(json.dumps(values))
    with _asked_once_there(tmp_path / "run" / "last.checkpoint", SIGNALS[0]):
        assert run("pretrain", "--config", tmp_path / "c.json", "--json") == 130
    figures = json.loads(capsys.readouterr().out)
    assert figures["cancelled"]
    assert figures["steps"] >= 1
    assert (tmp_path / "run" / "backbone.safetensors").is_file()
    assert not list((tmp_path / "run").glob(".*"))


def test_commands_that_keep_nothing_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    write_csv(nucleus_table([10.0], [20.0], "a"), tmp_path / "n.csv", 0.5)
    monkeypatch.setattr(
        "muse_core.nuclei.formats.csv.write_csv_rows",
        lambda *_, **__: signal.raise_signal(signal.SIGTERM),
    )
    assert run("convert", tmp_path / "n.csv", tmp_path / "out.csv") == 130
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_request_as_the_program_starts_is_no_traceback(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("muse_core.cli.app._refuse_unmeant", lambda _: signal.raise_signal(number))
    assert run("info", "slide.svs") == 130
    assert "Traceback" not in capsys.readouterr().err
