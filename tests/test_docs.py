"""What the pages say can be typed, clicked and set is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from muse_core.cli.app import app
from muse_core.jobs.detect_values import detect_job

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WINDOW_PAGES = [
    ROOT / "docs" / "tutorial.md",
    *(
        ROOT / "docs" / "how-to" / f"{name}.md"
        for name in ("review", "learn-now", "learn", "window-images")
    ),
]


def written_commands(page: Path) -> Iterator[list[str]]:
    """Yield each ``muse`` command of a page as words, in blocks and in running text."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`(muse [^`]+)`", text)]
    for line in (*lines, *spans):
        words = shlex.split(line, comments=True)
        if words[:1] == ["muse"]:
            yield words[1:]


def wrong(words: list[str]) -> str | None:
    """What of a command line does not exist; ``OPTION`` and so on are arguments."""
    command = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup) and rest and rest[0] != "...":
        if rest[0] not in command.commands:
            return None if rest[0].isupper() else rest[0]
        command = command.commands[rest.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    given = {word.partition("=")[0] for word in rest if word.startswith("--")}
    return ", ".join(sorted(given - known - {"--help"})) or None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    assert not [(words, bad) for words in written_commands(page) if (bad := wrong(words))]


def test_commands_are_found_and_wrong_ones_told() -> None:
    assert sum(len(list(written_commands(page))) for page in PAGES) > 60
    assert wrong(["detect", "a.svs", "--outt", "n.csv"]) == "--outt"
    assert wrong(["evaluate", "detekt", "x"]) == "detekt"


def test_the_settings_of_detection_on_the_page_are_read() -> None:
    page = (ROOT / "docs" / "how-to" / "command-line.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    job = detect_job(tomllib.loads(block), "slide.svs", "run.toml")
    assert job.device == "cuda"
    assert job.settings is not None


@pytest.mark.parametrize("page", WINDOW_PAGES, ids=lambda page: page.stem)
def test_what_is_to_be_clicked_is_in_the_window(page: Path) -> None:
    sources = (ROOT / "src" / "napari_muse").rglob("*.py")
    window = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    text = " ".join(page.read_text(encoding="utf-8").split())
    labels = {label for label in re.findall(r"\*\*([^*]+)\*\*", text) if ">" not in label}
    assert len(labels) > 2
    assert not {label for label in labels if label.rstrip(":.") not in window}
