"""What is left of a store with damaged pages."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table
from muse_core.nuclei.store import AnnotationStore
from muse_core.nuclei.store.rescue import Rescue, rescue_store

from .helpers import SLIDE, new_store

N_NUCLEI = 3000
PAGE = 4096
MOST_IN_A_PAGE = 150
TABLES = ("slide", "classes", "models", "nuclei", "regions", "next_id", "predictions")
FIELD = [(0.0, 0.0), (900.0, 0.0), (900.0, 900.0)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store of 3,000 nuclei, of which a person and a classifier have changed some."""
    path = tmp_path_factory.mktemp("sound") / "s.muse"
    with new_store(path) as store:
        x = np.linspace(0, 5000, N_NUCLEI)
        names = ["a", "b"] * (N_NUCLEI // 2)
        ids = store.insert(nucleus_table(x, x[::-1], names, score=0.5, model="m"))
        store.set_class(ids[:50], "b")
        store.delete(ids[50:60])
        store.add(7.0, 8.0, "a")
        store.add_region(FIELD, reviewed=True, name="first field")
        later = ids[1000:]
        other = [store.class_ids["a"]] * len(later)
        store.apply_predictions(later, other, np.full(len(later), 0.75), model="taught")
    return path


def damaged(sound: Path, folder: Path, page: int) -> Path:
    """A copy with a page of random bytes; pages count from 0."""
    content = bytearray(sound.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    path = folder / f"{page}.muse"
    path.write_bytes(content)
    return path


def root_page(sound: Path, table: str) -> int:
    with closing(sqlite3.connect(sound)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        return int(connection.execute(query, (table,)).fetchone()[0]) - 1


def rescued(path: Path, folder: Path) -> tuple[Rescue, AnnotationStore]:
    out = folder / f"{path.stem}-new.muse"
    return rescue_store(path, out), AnnotationStore.open(out, "me")


def test_a_sound_store_is_copied_whole(sound: Path, tmp_path: Path) -> None:
    before = sound.read_bytes()
    found, store = rescued(sound, tmp_path)
    assert found == Rescue(N_NUCLEI + 1, 1, 2, ())
    assert sound.read_bytes() == before
    with store, AnnotationStore.open(sound, read_only=True) as old:
        assert store.slide == SLIDE
        assert store.classes == old.classes
        for column in old.rows().dtype.names or ():
            one, other = store.rows()[column], old.rows()[column]
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), column
        assert store.nuclei().equals(old.nuclei())
        assert store.regions().equals(old.regions())
        assert store.holdout_by_region() == old.holdout_by_region()
        assert store.undo() is None
        new = store.add(1.0, 2.0, "a")
        assert new > old.rows()["id"].max()
        assert store.undo() is not None


def test_whichever_page_is_damaged_most_is_left(sound: Path, tmp_path: Path) -> None:
    with AnnotationStore.open(sound, read_only=True) as store:
        whole = store.rows()
    roots = {root_page(sound, table) for table in TABLES}
    inner = root_page(sound, "nuclei")
    missing = []
    for page in sorted(roots.union(range(1, sound.stat().st_size // PAGE, 4))):
        found, new = rescued(damaged(sound, tmp_path, page), tmp_path)
        with new:
            rows = new.rows()
            new.undo()
            new.delete(rows["id"][:1])
        missing.append(len(whole) - len(rows))
        assert page == inner or missing[-1] <= MOST_IN_A_PAGE, page
        assert missing[-1] == 0 or f"About {missing[-1]:,} nuclei" in found.notes[0]
        same = whole[np.isin(whole["id"], rows["id"])]
        for column in ("id", "x", "y", "score", "status"):
            assert np.array_equal(rows[column], same[column]), (page, column)
        relearnt_lost = any("relearning" in note for note in found.notes)
        renamed = any("names of" in note for note in found.notes)
        assert renamed or relearnt_lost or np.array_equal(rows["class_id"], same["class_id"])
    assert sum(n > 0 for n in missing) > 5, "pages with nuclei were among them"


def test_who_opens_a_damaged_store_is_told(sound: Path, tmp_path: Path) -> None:
    said = r"is damaged: database disk image is malformed\. muse rescue reads what is left of it\.$"
    for table in ("classes", "nuclei"):
        path = damaged(sound, tmp_path, root_page(sound, table))
        with (
            pytest.raises(UserError, match=said if table == "nuclei" else "muse rescue"),
            AnnotationStore.open(path) as store,
        ):
            store.rows()


def test_nothing_is_read_of_a_file_without_its_list_of_tables(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path, 0)
    with pytest.raises(UserError, match=r"Nothing can be read of 0\.muse: file is not a database"):
        rescue_store(path, tmp_path / "new.muse")
    assert not list(tmp_path.glob("new*"))


def test_classes_without_a_name_get_one(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path, root_page(sound, "classes"))
    found, store = rescued(path, tmp_path)
    with store, AnnotationStore.open(sound, read_only=True) as old:
        assert store.classes.names == ("class 1", "class 2")
        assert list(store.count().values()) == list(old.count().values())
    assert found.notes == ("The names of 2 class(es) could not be read; rename them.",)


def test_a_store_that_is_cut_short_keeps_what_comes_before(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.muse"
    path.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    found, store = rescued(path, tmp_path)
    store.close()
    assert 0 < found.nuclei < N_NUCLEI


def test_edits_that_are_still_in_the_log_are_rescued_too(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse", 100) as store:
        store.add(5000.0, 5000.0, "b")
        assert (tmp_path / "s.muse-wal").stat().st_size > 0
        found, new = rescued(tmp_path / "s.muse", tmp_path)
    with new:
        assert found.nuclei == 101
        assert new.nuclei()["x"].max() == 5000.0


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_another_file_is_no_store(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.muse"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other(id INTEGER)")
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.muse"):
        rescue_store(path, tmp_path / "new.muse")
    assert not list(tmp_path.glob("new*"))


def test_a_store_in_its_place_is_kept(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "new.muse").write_bytes(b"mine")
    with pytest.raises(UserError, match="exists already"):
        rescue_store(sound, tmp_path / "new.muse")
    assert (tmp_path / "new.muse").read_bytes() == b"mine"
