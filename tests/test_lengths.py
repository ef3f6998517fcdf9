"""Limits on the length of files and functions and on the number of parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import typer

from muse_core.cli.app import app

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks", "recipes", "examples", "tools", "docs")
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 6
MORE_BY_NAME = {"src/muse_core/nuclei/table.py:nucleus_table": 1}
"""It takes the columns of a table as arguments."""


def sources() -> dict[str, str]:
    """The text of each file, by its path below the root; missing folders are skipped."""
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths}


def functions() -> Iterator[tuple[str, int]]:
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{path}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_file_is_long() -> None:
    lines = {path: len(text.splitlines()) for path, text in sources().items()}
    assert len(lines) > 500, "the code is where it is looked for"
    assert not {path: n for path, n in lines.items() if n > MOST_LINES_OF_A_FILE}


def test_no_function_is_long() -> None:
    lengths = list(functions())
    assert len(lengths) > 2000
    assert not [(name, n) for name, n in lengths if n > MOST_LINES_OF_A_FUNCTION]


def commands(of: typer.Typer) -> Iterator[str]:
    """Names of the functions whose parameters are the options of commands."""
    for command in of.registered_commands:
        assert command.callback is not None
        yield command.callback.__name__
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance)


def test_no_call_has_to_be_counted_out() -> None:
    """Related arguments are passed together; a complete set is a configuration."""
    options = set(commands(app))
    assert {"detect_command", "evaluate_probe"} <= options
    long, checked = [], 0
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)) if path.startswith("src/") else ():
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if path.startswith("src/muse_core/cli/") and node.name in options:
                continue
            checked += 1
            name = f"{path}:{node.name}"
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            by_position = len(names) - (names[:1] in (["self"], ["cls"]))
            by_name = len(node.args.kwonlyargs) - MORE_BY_NAME.get(name, 0)
            if by_position + max(by_name, 0) > MOST_PARAMETERS:
                long.append((name, by_position, by_name))
    assert checked > 2000
    assert not long
