"""``muse detect`` over many slides: a file and a row for each, even if others fail."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muse_core.jobs.results_folder import ResultsFolder
from muse_core.jobs.slide_list import listed_slides
from muse_core.nuclei import read_csv, read_nuclei
from muse_core.slides import Slide

from ..job_inputs import CLASSES, write_model, write_slide
from .running import error_line, run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of slides, two of the same name, one damaged, and other files."""
    root = tmp_path_factory.mktemp("slides")
    for i, name in enumerate(("a/one.png", "a/two.png", "b/one.png")):
        (root / name).parent.mkdir(exist_ok=True)
        write_slide(root / name, 256, 200, seed=i)
    (root / "b/broken.tiff").write_bytes(b"II*\0 this is no slide")
    (root / "a/notes.txt").write_text("not a slide")
    (root / "a/._two.png").write_bytes(b"litter")
    return root


@pytest.fixture
def slides(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "slides"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(sys.platform == "win32", reason="there no name holds a line break")
def test_a_name_of_several_lines_is_one_row(slides: Path, model: Path, tmp_path: Path) -> None:
    odd = (slides / "b/one.png").rename(slides / "b/one\rslide.png")
    out = tmp_path / "out"
    (slides / "b/broken.tiff").unlink()
    assert run("detect", odd.parent, "--out", out, "--mpp", 0.5, "--model", model) == 0
    assert [row["slide"] for row in rows(out)] == [str(odd)]


def test_one_slide_goes_into_a_folder_that_is_named_like_one(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = f"{tmp_path}/new/"
    assert run("detect", slides / "a/one.png", "--out", out, "--mpp", 0.5, "--model", model) == 0
    assert [row["result"] for row in rows(tmp_path / "new")] == ["one.csv"]


def test_a_folder_gives_a_file_and_a_row_for_each_slide(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ("detect", slides, "--out", out, "--mpp", 0.5, "--model", model)
    assert run(*command) == 1
    said = capsys.readouterr()
    assert "3 of 4 slides" in said.out
    *_, head, failure = said.err.splitlines()
    assert head == "1 of 4 slides failed:"
    assert failure.startswith(f"  {slides}/b/broken.tiff: ")
    found = rows(out)
    assert [Path(r["slide"]).relative_to(slides).as_posix() for r in found] == [
        "a/one.png",
        "a/two.png",
        "b/broken.tiff",
        "b/one.png",
    ]
    assert found[2]["error"]
    assert found[2]["nuclei"] == ""
    good = [r for r in found if not r["error"]]
    assert len({r["result"] for r in good}) == 3
    for row in good:
        table = read_csv(out / row["result"])
        assert len(table) == int(row["nuclei"]) > 0
        counts = table["class_name"].value_counts()
        assert [int(row[f"nuclei {name}"]) for name in CLASSES] == [
            counts.get(name, 0) for name in CLASSES
        ]
        assert float(row["tissue_mm2"]) > 0
        assert float(row["seconds"]) > 0
        slide = read_nuclei(out / row["result"]).slide
        assert slide is not None
        assert slide.name == Path(row["slide"]).name
    assert (out / "two.csv").is_file()
    assert (out / "one.csv").is_file()

    times = {p: p.stat().st_mtime_ns for p in out.glob("*.csv") if p.name != "summary.csv"}
    assert run(*command, "--json") == 1
    figures = json.loads(capsys.readouterr().out)
    assert (figures["done"], figures["skipped"], len(figures["failed"])) == (3, 3, 1)
    assert times == {p: p.stat().st_mtime_ns for p in times}
    again = rows(out)
    assert [r["result"] for r in again] == [r["result"] for r in found]
    assert [r["nuclei"] for r in again] == [r["nuclei"] for r in found]


def test_what_has_changed_is_done_again_and_nothing_else(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ("detect", slides / "a", "--out", out, "--mpp", 0.5, "--model", model, "--json")

    def skipped(*more: object) -> int:
        assert run(*command, *more) == 0
        return int(json.loads(capsys.readouterr().out)["skipped"])

    assert skipped() == 0
    assert skipped() == 2
    write_slide(slides / "a/one.png", 256, 200, seed=9)
    assert skipped() == 1, "another slide under the name"
    with (out / "two.csv").open("a") as file:
        file.write("spoilt")
    assert skipped() == 1, "a result that is not as it was written"
    (out / "one.csv").unlink()
    assert skipped() == 1, "a result that is gone"
    capsys.readouterr()
    assert run(*command[:-1], "--min-score", 0.2) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("The result that was there had another minimum score;") == 2
    assert skipped("--min-score", 0.2) == 2
    assert skipped("--min-score", 0.2, "--no-resume") == 0


def test_two_slides_of_one_name_keep_their_files_in_any_order(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, second = slides / "a/one.png", slides / "b/one.png"
    options = ("--out", out, "--mpp", 0.5, "--model", model)
    assert run("detect", second, *options, "--format", "parquet") == 0
    alone = read_nuclei(out / "one.parquet").table
    assert run("detect", first, second, *options, "--format", "parquet") == 0
    by_slide = {r["slide"]: r["result"] for r in rows(out)}
    assert by_slide[str(second)] == "one.parquet"
    assert by_slide[str(first)] != "one.parquet"
    assert read_nuclei(out / "one.parquet").table.equals(alone)
    assert not read_nuclei(out / by_slide[str(first)]).table.equals(alone)


def test_several_programs_fill_one_folder(slides: Path, model: Path, tmp_path: Path) -> None:
    named = [slides / "a/one.png", slides / "a/two.png", slides / "b/one.png"]
    out = tmp_path / "out"
    fixed = ["--out", out, "--format", "csv", "--mpp", "0.5", "--model", model]
    muse = [sys.executable, "-m", "muse_core.cli", "detect"]
    running = [subprocess.Popen([*muse, *map(str, (slide, *fixed))]) for slide in named]
    assert [p.wait() for p in running] == [0, 0, 0]
    found = rows(out)
    assert {row["slide"] for row in found} == set(map(str, named))
    assert len({row["result"] for row in found}) == 3
    for row in found:
        assert len(read_nuclei(out / row["result"]).table) == int(row["nuclei"])
        assert not row["error"]


def test_the_summary_keeps_what_another_run_has_left_in_the_folder(
    slides: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    models = [tmp_path / "m1.safetensors", tmp_path / "m2.safetensors"]
    write_model(models[0])
    write_model(models[1], classes=("cat", "dog"))
    fixed = ("--out", out, "--format", "csv", "--mpp", 0.5, "--model")
    assert run("detect", slides / "a/one.png", *fixed, models[0]) == 0
    assert run("detect", slides / "b/broken.tiff", *fixed, models[0]) == 1
    assert run("detect", slides / "a/two.png", *fixed, models[1]) == 0
    two, *others = rows(out)
    assert two["result"] == "two.csv"
    assert {row["result"]: bool(row["error"]) for row in others} == {
        "broken.csv": True,
        "one.csv": False,
    }
    assert {f"nuclei {name}" for name in (*CLASSES, "cat", "dog")} <= two.keys()
    for row in (two, others[1]):
        counts = [int(n) for key, n in row.items() if key.startswith("nuclei ") and n]
        assert sum(counts) == int(row["nuclei"])
    (out / "one.csv").unlink()
    (slides / "b/broken.tiff").unlink()
    assert run("detect", slides / "a/two.png", *fixed, models[1]) == 0
    assert [row["result"] for row in rows(out)] == ["two.csv"]


def test_a_summary_of_something_else_is_never_overwritten(
    slides: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = slides / "summary.csv"
    mine.write_text("case,grade\none,2\n")
    before = sorted(slides.rglob("*"))
    command = ("detect", slides, "--out", slides, "--mpp", 0.5, "--model", model)
    assert run(*command) == 2
    assert "is not of an earlier run" in error_line(capsys)
    assert mine.read_text() == "case,grade\none,2\n"
    assert sorted(slides.rglob("*")) == before

    mine.write_text("slide,result,nuclei\n")
    assert run(*command) == 1
    assert len(rows(slides)) == 4


def test_a_file_of_somebody_else_is_never_overwritten(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "two.csv").write_text("mine")
    assert run("detect", slides / "a", "--out", out, "--mpp", 0.5, "--model", model) == 0
    assert (out / "two.csv").read_text() == "mine"
    assert {r["result"] for r in rows(out)}.isdisjoint({"two.csv"})


@pytest.mark.parametrize("form", ["geojson", "h5ad"])
def test_formats(slides: Path, model: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    command = ("detect", slides / "a/two.png", "--out", out, "--format", form)
    assert run(*command, "--mpp", 0.5, "--model", model) == 0
    assert len(read_nuclei(out / f"two.{form}").table) == int(rows(out)[0]["nuclei"])


def test_a_list_gives_each_slide_its_scale(slides: Path, model: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("slide,mpp\nslides/a/one.png,0.5\nslides/b/one.png,0.25\n\n")
    out = tmp_path / "out"
    assert run("detect", listed, "--out", out, "--model", model) == 0
    assert [float(r["mpp"]) for r in rows(out)] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a"], ["a/one.png", "a/two.png"]),
        (["a/*.png", "a"], ["a/one.png", "a/two.png"]),
        (["**/one.png"], ["a/one.png", "b/one.png"]),
        (["b/one.png", "a/one.png", "b/one.png"], ["b/one.png", "a/one.png"]),
    ],
)
def test_each_slide_is_listed_once(drawn: Path, given: list[str], names: list[str]) -> None:
    found = listed_slides([str(drawn / g) for g in given])
    assert [Path(s.path).relative_to(drawn).as_posix() for s in found] == names


def test_refusals_are_one_sentence(
    slides: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muse_core.jobs.cluster._CONNECT_S", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "none.csv").write_text("name\nx\n")
    (tmp_path / "bad.toml").write_text("tile = 3\n")
    one, two = slides / "a/one.png", slides / "a/two.png"
    for arguments, sentence in (
        ((tmp_path / "empty", "--out", tmp_path / "o"), "There is no slide in"),
        ((slides / "*.svs", "--out", tmp_path / "o"), "Nothing matches"),
        ((one, two, "--out", tmp_path / "n.csv"), "of many slides it is a folder"),
        ((one, two, "--out", tmp_path / "file"), "give a folder"),
        ((tmp_path / "none.csv", "--out", tmp_path / "o"), "slide"),
        ((one, two, "--out", tmp_path / "o", "--model", "no-such"), "no model 'no-such'"),
        ((one, two, "--out", tmp_path / "o", "--set", "scheduler=tcp://[::1]:9"), "no dask"),
        ((one, "--out", tmp_path / "o.csv", "--config", tmp_path / "bad.toml"), "'tile'"),
        ((one, "--out", tmp_path / "o.csv", "--config", tmp_path / "no.toml"), "Cannot read"),
    ):
        assert run("detect", *arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert sentence in line
        assert not (tmp_path / "o").exists()


def test_settings_of_a_file_hold_unless_an_option_says_otherwise(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text(
        'device = "cpu"\ntile_px = 192\nhalo_px = 32\nmin_score = 0.9\n'
    )
    given = ("detect", slides / "a/one.png", "--out", tmp_path / "n.csv", "--mpp", 0.5)
    command = (*given, "--model", model, "--config", tmp_path / "c.toml", "--json")
    assert run(*command) == 0
    few = json.loads(capsys.readouterr().out)
    assert few["tiles_total"] > 1
    assert run(*command, "--min-score", 0.001) == 0
    assert json.loads(capsys.readouterr().out)["nuclei"] > few["nuclei"]


def test_set_counts_more_than_the_file_and_less_than_options(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text(f'model = "{model}"\nmpp = 2.0\ntile_px = 256\nbatch = 3\n')
    given = ("detect", slides / "a/one.png", "--out", tmp_path / "n.csv", "--json", "--set")
    more = ("mpp=1.0", "--set", "tile_px=192", "--set", "halo_px=32", "--mpp", 0.5)
    assert run(*given, *more, "--config", tmp_path / "c.toml") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["tiles_total"] > 1
    values = said["config"]
    assert [values[n] for n in ("mpp", "tile_px", "batch", "backend")] == [0.5, 192, 3, "auto"]


def test_the_record_of_a_run_is_a_configuration(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("--set", "tile_px=192", "--set", "halo_px=32", "--set", "backend=torch")
    first = ("--model", model, "--mpp", 0.5, "--region", "0,0,200,150", "--features", *settings)
    slide, record = slides / "a/one.png", tmp_path / "run.json"
    assert run("detect", slide, "--out", tmp_path / "1.csv", "--json", *first) == 0
    record.write_text(capsys.readouterr().out)
    assert run("detect", slide, "--out", tmp_path / "2.csv", "--config", record, "--json") == 0
    assert (tmp_path / "2.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    assert (tmp_path / "2.csv.features").is_dir()
    again = json.loads(capsys.readouterr().out)["config"]
    assert again == json.loads(record.read_text())["config"]
    # The record of many slides is a configuration too.
    assert run("detect", slide, "--out", tmp_path / "m", *first, "--format", "csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["config"] == again


def test_a_stopped_run_goes_on_with_the_slide_it_stopped_in(
    slides: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "c.toml").write_text("tile_px = 192\nhalo_px = 32\n")
    out = tmp_path / "out"
    given = ("detect", slides / "a", "--out", out, "--mpp", 0.5, "--model", model)
    command = (*given, "--config", tmp_path / "c.toml", "--json")
    read, reads = Slide.read, 0

    def asked(self: Slide, *given: object, **options: Any):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += self.name == "two.png"
        if reads == 3:
            signal.raise_signal(signal.SIGINT)
        return read(self, *given, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Slide, "read", asked)
        assert run(*command) == 130
    figures = json.loads(capsys.readouterr().out)
    assert figures["cancelled"]
    assert figures["done"] == 1
    assert run(*command) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 1
    assert not [p for p in out.glob(".*") if p.name != ".muse"]


def test_a_slide_that_is_out_of_reach_for_a_while_is_not_done_again(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, out = tmp_path / "list.csv", tmp_path / "out"
    listed.write_text("slide\nslides/a/one.png\nslides/a/two.png\n")
    command = ("detect", listed, "--out", out, "--mpp", 0.5, "--model", model, "--json")
    assert run(*command) == 0
    away = (slides / "a/one.png").rename(tmp_path / "away.png")
    assert run(*command) == 1
    assert [bool(row["error"]) for row in rows(out)] == [True, False]
    away.rename(slides / "a/one.png")
    capsys.readouterr()
    assert run(*command) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 2


def test_of_two_programs_at_the_same_slide_the_one_that_did_it_counts(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    one = ("detect", slides / "a/one.png", "--out", out, "--format", "csv")
    assert run(*one, "--mpp", 0.5, "--model", model) == 0
    results = ResultsFolder(out, ".csv")
    finished = results.record("one.csv")
    assert finished is not None
    for key, error in ((finished.key, ""), ("of other settings", "It was locked.")):
        refused = replace(finished, key=key, sha256="", figures={}, error="It was locked.")
        results.keep(refused)
        results.write_summary([refused], CLASSES)
        assert [row["error"] for row in rows(out)] == [error]
        assert results.finished("one.csv", finished.key) == finished
