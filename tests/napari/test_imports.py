from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import napari_muse

PACKAGE = Path(napari_muse.__file__).parent


def test_the_plugin_is_ready_without_torch() -> None:
    code = (
        "import sys, napari_muse.panels.muse_panel, napari_muse.io.reader, napari_muse.io.writer;"
        "from muse_core.models.registry import list_models; list_models();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def private_parts(path: Path) -> list[str]:
    """Uses of private parts of other packages in a file: attributes, and modules of napari."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and not node.attr.endswith("__"):
                found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari."):
            if "._" in str(node.module) or any(name.name.startswith("_") for name in node.names):
                found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            name = ast.unparse(node.args[1])
            if name.startswith(("'_", "'class_keymap")):
                found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    return found


def test_one_file_touches_naparis_private_parts() -> None:
    files = {path: private_parts(path) for path in PACKAGE.rglob("*.py")}
    # It finds uses where they exist.
    assert len(files.pop(PACKAGE / "napari_compat.py")) >= 5
    assert [line for lines in files.values() for line in lines] == []
