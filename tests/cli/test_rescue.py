"""``muse rescue``."""

from __future__ import annotations

import json
from pathlib import Path

from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

from .running import Capture, error_line, run


def test_what_is_left_of_a_store_is_written_to_another(tmp_path: Path, capsys: Capture) -> None:
    path, out = tmp_path / "s.muse", tmp_path / "new.muse"
    scheme = ClassScheme.from_names(["tumor"])
    with AnnotationStore.create(path, SlideIdentity("s.svs", 1, "a"), scheme) as store:
        store.insert(nucleus_table([1.0, 2.0], [3.0, 4.0], ["tumor", "tumor"]))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"tumor#e8200c", b"tumor#\xff\xff\xff\xff\xff\xff"))
    assert run("rescue", path, "--out", out, "--json") == 0
    captured = capsys.readouterr()
    unnamed = "The names of 1 class(es) could not be read; rename them."
    facts = {"nuclei": 2, "regions": 0, "classes": 1, "notes": [unnamed], "out": str(out)}
    assert json.loads(captured.out) == facts
    assert captured.err == f"{unnamed}\n"
    assert run("rescue", path, "--out", out) == 2
    assert "exists already" in error_line(capsys)


def test_the_new_store_is_named_like_one(tmp_path: Path, capsys: Capture) -> None:
    with AnnotationStore.create(
        tmp_path / "s.muse", SlideIdentity("s.svs", 1, "a"), ClassScheme.from_names(["tumor"])
    ):
        pass
    before = sorted(tmp_path.iterdir())
    assert run("rescue", tmp_path / "s.muse", "--out", tmp_path / "new.csv") == 2
    assert "the name of annotations ends in .muse" in error_line(capsys)
    assert sorted(tmp_path.iterdir()) == before
