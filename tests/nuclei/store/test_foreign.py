"""Stores from elsewhere, damaged or malicious: one error message, and the folder stays usable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.reviewed import reviewed_fields
from muse_core.nuclei.store import AnnotationStore, StorePlace

from .helpers import new_store

ENDLESS = (
    "DROP TABLE slide; CREATE VIEW slide AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1"
    " FROM c) SELECT 'a' AS name, x AS size_bytes, 'b' AS fingerprint FROM c WHERE x < 0"
)
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON nuclei BEGIN DELETE FROM journal; END"


def _altered(path: Path, script: str) -> Path:
    with new_store(path, n=3) as store:
        store.add_region([(0, 0), (9, 0), (0, 9)], reviewed=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


@pytest.mark.parametrize("script", [ENDLESS, TRIGGER, "PRAGMA user_version = 0"])
def test_what_is_not_as_we_make_it_is_not_opened(tmp_path: Path, script: str) -> None:
    path = _altered(tmp_path / "s.muse", script)
    for read_only in (True, False):
        with pytest.raises(UserError, match=r"no(t an)? annotation store"):
            AnnotationStore.open(path, read_only=read_only)


@pytest.mark.parametrize("script", [ENDLESS, TRIGGER, "PRAGMA user_version = 0"])
def test_such_a_neighbour_keeps_no_slide_from_its_own_store(tmp_path: Path, script: str) -> None:
    _altered(tmp_path / "a neighbour.muse", script)
    slide = tmp_path / "slide.png"
    slide.write_bytes(b"pixels")
    place = StorePlace(slide, tmp_path)
    assert place.open() is None
    place.create(ClassScheme.from_names(["a"])).close()
    found = place.open()
    assert found is not None
    found.close()


@pytest.mark.parametrize(
    ("script", "read"),
    [
        ("UPDATE nuclei SET class_id = 77", AnnotationStore.rows),
        ("UPDATE nuclei SET class_id = -7", AnnotationStore.nuclei),
        ("UPDATE nuclei SET class_id = 1000000000000", AnnotationStore.rows),
        ("UPDATE nuclei SET status = 200", AnnotationStore.rows),
        ("UPDATE nuclei SET status = 20000", AnnotationStore.rows),
        ("UPDATE nuclei SET status = 200", AnnotationStore.nuclei),
        ("UPDATE models SET id = 1000000000000000", AnnotationStore.nuclei),
        ("UPDATE regions SET vertices = '[[0,0'", AnnotationStore.regions),
        ("UPDATE regions SET vertices = '[[0,0],[1,1]]'", reviewed_fields),
        ("UPDATE regions SET vertices = '[[0,0],[1,0],[0,1e999]]'", reviewed_fields),
        ("UPDATE regions SET vertices = '[[0,0],[1,0],[0]]'", reviewed_fields),
        (f"UPDATE regions SET vertices = '{'[' * 200_000}'", AnnotationStore.regions),
        ("UPDATE regions SET vertices = '{}'", AnnotationStore.reviewed_areas),
    ],
    ids=range(13),
)
def test_damage_gets_a_sentence(
    tmp_path: Path, script: str, read: Callable[[AnnotationStore], object]
) -> None:
    path = _altered(tmp_path / "s.muse", script)
    with (
        AnnotationStore.open(path, read_only=True) as store,
        pytest.raises(UserError, match=r"damaged|cannot be read"),
    ):
        read(store)
