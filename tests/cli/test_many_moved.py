"""``muse detect`` over many slides that are called from elsewhere, moved, or replaced."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ..job_inputs import write_model, write_slide
from .running import run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Two folders with a slide of the same name in each."""
    for i, folder in enumerate(("a", "b")):
        (tmp_path / "slides" / folder).mkdir(parents=True)
        write_slide(tmp_path / "slides" / folder / "one.png", 256, 200, seed=i)
    return tmp_path / "slides"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_slides_are_finished_wherever_they_are_called_from_and_moved_to(
    slides: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"

    def detect(*given: str | Path) -> str:
        assert run("detect", *given, "--out", f"{out}/", "--mpp", 0.5, "--model", model) == 0
        return capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    detect("slides/a/one.png")
    (before,) = rows(out)
    monkeypatch.chdir(slides / "a")
    assert "finished before" in detect("one.png")
    assert rows(out) == [before | {"slide": "one.png"}]
    monkeypatch.chdir(tmp_path)
    (slides / "a").rename(tmp_path / "moved")
    assert "finished before" in detect("moved/one.png")
    assert "finished before" in detect("moved/one.png")
    assert rows(out) == [before | {"slide": "moved/one.png"}]
    assert "finished before" not in detect("slides/b/one.png")
    assert [row["result"] for row in rows(out)][1:] == ["one.csv"]


def test_another_slide_in_the_place_of_one_that_has_gone_has_a_file_of_its_own(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    command = ("--out", f"{tmp_path / 'out'}/", "--mpp", 0.5, "--model", model)
    assert run("detect", slides / "a/one.png", *command) == 0
    kept = (tmp_path / "out/one.csv").read_bytes()
    (slides / "a/one.png").unlink()
    assert run("detect", slides / "b/one.png", *command) == 0
    assert (tmp_path / "out/one.csv").read_bytes() == kept
    assert len(rows(tmp_path / "out")) == 2
