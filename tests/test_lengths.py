"""Files hold one concept and functions one step: both stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks", "recipes", "examples", "tools", "docs")
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60


def sources() -> dict[str, str]:
    """The text of each file, by its path below the root; what is not there is left out."""
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
