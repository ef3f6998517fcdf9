"""A slide finds its store wherever both are and whatever their names."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import platformdirs
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import StorePlace, identify_slide, locate

SCHEME = ClassScheme.from_names(["a"])


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, *_, **__: str(home / name))
    monkeypatch.delenv(locate.ANNOTATIONS_VARIABLE, raising=False)
    folder = tmp_path / "slides"
    folder.mkdir()
    path = folder / "one.svs"
    path.write_bytes(b"the pixels of one")
    return path


def _made(slide: Path) -> Path:
    with StorePlace.of(slide).create(SCHEME) as store:
        store.add(1, 2, "a")
        return store.path


def _found(slide: Path) -> Path | None:
    store = StorePlace.of(slide).open()
    if store is None:
        return None
    with store:
        assert len(store.nuclei()) == 1
        return store.path


def test_it_lies_beside_the_slide(slide: Path) -> None:
    assert _found(slide) is None
    assert _made(slide) == slide.with_name("one.svs.muse")
    assert _found(slide) == slide.with_name("one.svs.muse")


def test_a_store_without_classes_is_not_made(slide: Path) -> None:
    with pytest.raises(UserError, match="at least one class"):
        StorePlace.of(slide).create(ClassScheme(()))
    assert _found(slide) is None


def test_both_may_be_moved_and_renamed(slide: Path, tmp_path: Path) -> None:
    made = _made(slide)
    other = tmp_path / "elsewhere"
    other.mkdir()
    moved = shutil.move(slide, other / "renamed.svs")
    shutil.move(made, other / "my annotations.muse")
    assert _found(Path(moved)) == other / "my annotations.muse"


def test_another_slide_of_the_same_name_gets_its_own(slide: Path) -> None:
    _made(slide)
    slide.write_bytes(b"quite other pixels")
    assert _found(slide) is None
    assert _made(slide) == slide.with_name("one.svs-2.muse")
    assert _found(slide) == slide.with_name("one.svs-2.muse")


def test_where_nothing_can_be_written_it_lies_in_the_users_folder(
    slide: Path, tmp_path: Path
) -> None:
    # A file in place of the folder: this fails for root too, who may write anywhere.
    closed = StorePlace(slide)
    blocked = tmp_path / "home" / "napari-muse" / "annotations"
    with pytest.MonkeyPatch.context() as patch:
        folders = (slide / "no folder", blocked)
        patch.setattr(StorePlace, "_folders", lambda self: folders)
        with closed.create(SCHEME) as store:
            assert store.path == blocked / "one.svs.muse"
    (blocked / "one.svs.muse").unlink()
    with closed.create(SCHEME) as store:
        assert store.path.parent == slide.parent, "elsewhere the slide's folder is taken"


def test_a_slide_has_one_store_however_many_windows_begin_it(slide: Path) -> None:
    first, second = StorePlace.of(slide), StorePlace.of(slide)
    assert first.open() is None
    assert second.open() is None
    with first.create(SCHEME) as store:
        store.add(1, 2, "a")
        with pytest.raises(UserError, match=r"Another window has made one\.svs\.muse"):
            second.create(SCHEME)
    with pytest.raises(UserError, match="Another window"):
        second.create(SCHEME)
    assert _found(slide) == slide.with_name("one.svs.muse")
    assert not list(slide.parent.glob("*-2*"))


def test_a_folder_of_ones_own(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(locate.ANNOTATIONS_VARIABLE, str(tmp_path / "mine"))
    assert _made(slide) == tmp_path / "mine" / "one.svs.muse"
    assert _found(slide) == tmp_path / "mine" / "one.svs.muse"


def test_damaged_files_beside_it_are_passed_over(slide: Path) -> None:
    slide.with_name("broken.muse").write_bytes(b"nothing of the kind" * 99)
    made = _made(slide)
    assert _found(slide) == made


def test_of_too_many_stores_those_named_after_the_slide_are_looked_at(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made(slide)
    for name in ("a.muse", "b.muse", "c.muse"):
        slide.with_name(name).touch()
    monkeypatch.setattr(locate, "_MOST_FILES", 2)
    assert _found(slide) == made


def test_a_store_that_was_never_finished_does_not_keep_its_slide_from_having_one(
    slide: Path,
) -> None:
    slide.with_name("one.svs.muse").touch()
    without_slide = _made(slide).rename(slide.with_name("other.muse"))
    with sqlite3.connect(without_slide) as connection:
        connection.execute("DELETE FROM slide")
    connection.close()
    assert _found(slide) is None
    assert _made(slide) == _found(slide) == slide.with_name("one.svs-2.muse")


def test_a_store_of_a_newer_version_is_not_passed_over(slide: Path) -> None:
    made = _made(slide)
    with sqlite3.connect(made) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="newer napari-muse"):
        StorePlace.of(slide).open()


def test_images_and_planes_of_one_file_have_stores_of_their_own(slide: Path) -> None:
    parts = ("", "image=2", "image=2&plane=3", "plane=1")
    for number, part in enumerate(parts):
        with StorePlace.of(slide, part).create(SCHEME) as store:
            for _ in range(number):
                store.add(1, 2, "a")
            assert store.slide.part == part
    names = ["one.svs", "one.svs-image2", "one.svs-image2-plane3", "one.svs-plane1"]
    assert {p.name for p in slide.parent.glob("*.muse")} == {f"{n}.muse" for n in names}
    renamed = slide.rename(slide.with_name("two.svs"))
    for number, part in enumerate(parts):
        opened = StorePlace.of(renamed, part).open()
        assert opened is not None
        with opened:
            assert len(opened.nuclei()) == number
    assert StorePlace.of(renamed, "image=3").open() is None


def test_planes_show_the_same_tissue_and_images_do_not(slide: Path) -> None:
    parts = ("", "plane=3", "image=2", "image=2&plane=3")
    whole, plane, image, both = (identify_slide(slide, part) for part in parts)
    assert whole.tissue == plane.tissue == whole.fingerprint
    assert image.tissue == both.tissue == image.fingerprint
    assert whole.tissue != image.tissue
    assert len({i.fingerprint for i in (whole, plane, image, both)}) == 4
