"""The page on the architecture matches the source tree, and each module has a docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import muse_core

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text below a heading of the second level."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("package", ["muse_core", "napari_muse"])
def test_every_room_is_on_the_page(package: str) -> None:
    table = section("Rooms").partition(f"| `{package}/` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([\w/.]+)`", table))
    there = {
        f"{path.name}/" if path.is_dir() else path.stem
        for path in (SRC / package).iterdir()
        if (path / "__init__.py").is_file()
        or (path.suffix == ".py" and not path.name.startswith("__"))
    }
    missing = {r for r in there if not {r, r.rstrip("/"), f"{r}.py"} & named}
    assert not missing, "give it a line in the table"


def test_the_places_to_add_to_exist() -> None:
    written = re.findall(r"`([\w/]+(?:/|\.py))`", section("Where to add"))
    assert len(written) > 10
    for place in written:
        beside = [ROOT, SRC / "muse_core", SRC / "muse_core" / "data" / "datasets"]
        assert any((folder / place).exists() for folder in beside), place


def test_the_front_page_leads_to_every_page() -> None:
    docs = ROOT / "docs"
    linked = set(
        re.findall(r"\]\(([\w/-]+\.md)\)", (docs / "index.md").read_text(encoding="utf-8"))
    )
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert len(pages) > 15
    assert linked == pages - {"index.md"}


def test_the_table_of_benchmarks_has_each_script() -> None:
    folder = ROOT / "benchmarks"
    table = (folder / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"python benchmarks/(\w+\.py)", table))
    assert named == {path.name for path in folder.glob("*.py")}


def test_the_reference_has_what_is_public() -> None:
    reference = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    listed = {line.rpartition(".")[2] for line in reference.splitlines() if line[:3] == ":::"}
    assert set(muse_core.__all__) - {"__version__"} <= listed


def test_every_package_and_module_says_what_it_is() -> None:
    paths = sorted(SRC.rglob("*.py"))
    assert len(paths) > 300
    folders = {path.parent for path in paths}
    assert all((folder / "__init__.py").is_file() for folder in folders)
    silent = [p for p in paths if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not silent
