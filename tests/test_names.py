"""A name has one meaning: no two modules define the same public name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import muse_core
import napari_muse

PACKAGES = [Path(package.__file__ or "").parent for package in (muse_core, napari_muse)]


def defined(path: Path) -> set[str]:
    """Public names that a module defines at its top level, without imported ones."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_no_public_name_is_defined_twice() -> None:
    places = defaultdict(list)
    for path in (path for package in PACKAGES for path in package.rglob("*.py")):
        for name in defined(path):
            places[name].append(path.relative_to(path.parents[2]).as_posix())
    # It finds functions, classes and constants.
    assert {"open_slide", "MuseModel", "MODEL_SUFFIX"} <= set(places)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
