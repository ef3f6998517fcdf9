"""`muse detect` on one slide: its output, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.nuclei import CSV_COLUMNS, read_csv

from ..job_inputs import write_slide
from .running import Capture, detect, error_line, run


def test_detect_writes_the_nuclei_and_ends_with_one_line_of_json(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "nuclei.csv"
    assert detect(folder, out, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    figures = json.loads(line)
    assert figures["nuclei"] == len(read_csv(out)) > 0
    assert figures["model"] == "tiny"
    assert figures["tissue_mm2"] == pytest.approx(0.0875, rel=0.05)
    assert figures["mm2_per_s"] == pytest.approx(
        figures["tissue_mm2"] / figures["seconds"], rel=0.01
    )
    assert figures["peak_rss_mb"] > 50
    assert out.read_text().splitlines()[0] == ",".join((*CSV_COLUMNS, "slide", "slide_content"))


def test_detect_without_json_ends_with_a_sentence(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "nuclei.csv"
    assert detect(folder, out, "--min-score", 0.99, "--backend", "torch") == 0
    captured = capsys.readouterr()
    assert captured.out == f"0 nuclei in 0.0875 mm² of tissue, written to {out}.\n"
    assert captured.err == ""
    assert len(read_csv(out)) == 0


def test_the_scale_of_a_real_slide_comes_from_its_metadata(
    folder: Path, cmu_slide: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "nuclei.csv"
    region = ("--region", "1300,1500,250.5,200")
    assert detect(folder, out, "--no-mpp", *region, slide=cmu_slide) == 0
    assert "nuclei in" in capsys.readouterr().out
    table = read_csv(out)
    assert len(table) > 0
    assert table["x"].between(1300, 1550.5).all()
    first = out.read_text().splitlines()[1].split(",")
    assert float(first[3]) == pytest.approx(float(first[1]) * 0.499, abs=1e-3)


def test_a_region_partly_outside_is_clipped_with_a_note(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert detect(folder, tmp_path / "n.csv", "--region", "-100,-50,300,250") == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("note: The region reaches beyond the slide")
    assert "looking at 0,0,200,200" in captured.err
    assert read_csv(tmp_path / "n.csv")["x"].between(0, 200).all()


def test_a_slide_without_tissue_gives_no_nuclei_and_no_error(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    glass = tmp_path / "glass.png"
    Image.fromarray(np.full((300, 300, 3), 246, np.uint8)).save(glass)
    assert detect(folder, tmp_path / "n.csv", "--json", slide=glass) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["nuclei"], figures["tissue_mm2"], figures["mm2_per_s"]) == (0, 0, 0)
    assert len(read_csv(tmp_path / "n.csv")) == 0


def _bad_slide(kind: str, tmp_path: Path, cmu_slide: Path) -> Path:
    path = tmp_path / "bad.svs"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(cmu_slide.read_bytes()[:200_000])
    elif kind == "text":
        path.write_text("this is no image\n" * 100)
    elif kind == "text named png":
        path = tmp_path / "bad.png"
        path.write_text("this is no image\n" * 100)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "truncated", "text", "text named png", "folder"]
)
@pytest.mark.parametrize("command", ["detect", "info"])
def test_a_slide_that_is_none_is_refused(
    command: str, kind: str, folder: Path, cmu_slide: Path, tmp_path: Path, capsys: Capture
) -> None:
    slide, out = _bad_slide(kind, tmp_path, cmu_slide), tmp_path / "nuclei.csv"
    before = sorted(tmp_path.iterdir())
    if command == "detect":
        assert detect(folder, out, "--no-mpp", slide=slide) == 2
    else:
        assert run("info", slide) == 2
    assert slide.name in error_line(capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_but_one_sentence_reaches_the_terminal(cmu_slide: Path, tmp_path: Path) -> None:
    slide = _bad_slide("truncated", tmp_path, cmu_slide)
    done = subprocess.run(
        [sys.executable, "-m", "muse_core.cli", "info", str(slide)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: bad.svs is truncated: it is shorter than its directory says.\n"


def test_a_slide_without_scale_needs_one(
    folder: Path, unscaled_slide: Path, tmp_path: Path, capsys: Capture
) -> None:
    slide = unscaled_slide
    assert detect(folder, tmp_path / "n.csv", "--no-mpp", slide=slide) == 2
    assert "--mpp" in error_line(capsys)
    assert list(tmp_path.iterdir()) == []
    region = ("--region", "0,0,100,100")
    assert detect(folder, tmp_path / "n.csv", "--mpp", 0.5, *region, slide=slide) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--region", "700,0,50,50"), "outside the slide, which is 700 x 500 px"),
        (("--region", "1,2,3"), "four numbers X,Y,W,H"),
        (("--region", "0,0,0,10"), "positive size"),
        (("--mpp", "-1"), "Microns per pixel must"),
        (("--mpp", "nan"), "--mpp: “nan” is no number"),
        (("--model", "no-such-model"), "no model 'no-such-model'"),
        (("--min-score", "7"), "between 0 and 1"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: tuple[str, ...], sentence: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert detect(folder, tmp_path / "n.csv", *options) == 2
    assert sentence in error_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", ["torch", "pickle", "truncated", "empty", "other tensors"])
def test_a_model_file_that_is_none_is_refused_and_never_unpickled(
    name: str, content: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, trap = tmp_path / name, tmp_path / "trap"
    if content == "torch":
        torch.save({"weight": torch.zeros(3)}, path)
    elif content == "pickle":
        path.write_bytes(pickle.dumps(_Trap(str(trap))))
    elif content == "truncated":
        path.write_bytes((folder / "tiny.safetensors").read_bytes()[:-1000])
    elif content == "empty":
        path.write_bytes(b"")
    else:
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(3)}, path)
    assert detect(folder, tmp_path / "n.csv", "--model", path) == 2
    assert name in error_line(capsys)
    assert not trap.exists()
    assert not (tmp_path / "n.csv").exists()


class _Trap:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("where", ["missing/n.csv", "file/n.csv"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    where: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    assert detect(folder, tmp_path / where) == 2
    assert error_line(capsys).startswith("error: Cannot write ")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("name", "module"), [("n.h5ad", "h5py"), ("n.zarr", "spatialdata")])
def test_a_format_whose_package_is_missing_is_refused_before_the_work(
    name: str,
    module: str,
    folder: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert detect(folder, tmp_path / name) == 2
    assert f"needs {module}; install napari-muse with its extra" in error_line(capsys)
    assert not list(tmp_path.iterdir())


def test_an_old_result_survives_a_refused_run(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "n.csv"
    out.write_text("old")
    assert detect(folder, out, "--region", "9000,9000,5,5") == 2
    assert out.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows raises SIGINT in another way")
def test_ctrl_c_keeps_what_was_found_and_exits_with_130(folder: Path, tmp_path: Path) -> None:
    slide, out = write_slide(tmp_path / "wide.png", 6000, 250), tmp_path / "n.csv"
    # Presses Ctrl-C while the fourth tile is read (the first read is for the tissue mask).
    code = (
        "import itertools, signal, sys\n"
        "from muse_core.cli import main\n"
        "from muse_core.slides import Slide\n"
        "reads, read = itertools.count(), Slide.read\n"
        "def press(self, *given, **options):\n"
        "    if next(reads) == 4: signal.raise_signal(signal.SIGINT)\n"
        "    return read(self, *given, **options)\n"
        "Slide.read = press\n"
        "main(sys.argv[1:])\n"
    )
    (tmp_path / "c.toml").write_text("tile_px = 512\n")
    arguments = ["detect", slide, "--out", out, "--mpp", "0.5", "--json"]
    arguments += ["--model", folder / "tiny.safetensors", "--device", "cpu"]
    arguments += ["--config", tmp_path / "c.toml"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    figures = json.loads(done.stdout)
    assert figures["cancelled"]
    assert figures["tiles_done"] < figures["tiles_total"]
    assert len(read_csv(out)) == figures["nuclei"]
    assert "Traceback" not in done.stderr
