"""Files hold one concept and functions one step: both stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60


def functions() -> Iterator[tuple[str, int]]:
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                name = f"{path.relative_to(SRC).as_posix()}:{node.name}"
                yield name, node.end_lineno - node.lineno + 1


def test_no_file_is_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SRC.rglob("*.py")}
    assert len(lines) > 100, "the source is where it is looked for"
    assert not {path.name: n for path, n in lines.items() if n > MOST_LINES_OF_A_FILE}


def test_no_function_is_long() -> None:
    lengths = list(functions())
    assert len(lengths) > 1000
    assert not [(name, n) for name, n in lengths if n > MOST_LINES_OF_A_FUNCTION]
