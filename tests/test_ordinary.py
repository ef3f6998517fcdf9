"""Pipes, devices and folders in place of files: one message, and no waiting."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import read_small, replacing
from muse_core.nuclei import nucleus_table, read_nuclei_here, write_nuclei
from muse_core.ordinary import require_file, require_folder
from muse_core.slides import open_slide
from muse_core.slides.window.server import WindowServer


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".geojson", ".parquet", ".h5ad", ".zip"])
def test_a_pipe_or_folder_of_nuclei_is_refused(tmp_path: Path, pipe: Path, ending: str) -> None:
    renamed = pipe.rename(tmp_path / f"pipe{ending}")
    with pytest.raises(UserError, match=r"is a pipe or a device; give an ordinary file\.$"):
        read_nuclei_here(renamed)
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    with pytest.raises(UserError, match=r"is a folder; give a file\.$"):
        read_nuclei_here(folder)
    with pytest.raises(UserError, match=r"^There is no file "):
        read_nuclei_here(tmp_path / f"none{ending}")


@pytest.mark.parametrize("ending", [".tif", ".svs", ".png", ".jxl", ".zip", ".mrxs", ""])
def test_a_pipe_in_place_of_a_slide_is_refused(tmp_path: Path, pipe: Path, ending: str) -> None:
    with pytest.raises(UserError, match="is a pipe or a device"):
        open_slide(pipe.rename(tmp_path / f"other{ending}"))


def test_a_pipe_in_place_of_a_settings_file_is_refused(pipe: Path) -> None:
    with pytest.raises(UserError, match="is a pipe or a device"):
        read_small(pipe, "class map", str(pipe))


def test_links_lead_to_files_and_round_in_circles(tmp_path: Path) -> None:
    file, link, loop = tmp_path / "f", tmp_path / "link", tmp_path / "loop"
    file.write_bytes(b"1")
    link.symlink_to(file)
    loop.symlink_to(loop)
    assert require_file(link) == link
    with pytest.raises(UserError, match=r"loop"):
        require_file(loop)


@pytest.fixture
def no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where /tmp is read-only and TMPDIR is a folder that does not exist."""
    nowhere = [str(tmp_path / "missing")]
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: nowhere)
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.mark.usefixtures("no_temporary_folder")
def test_without_a_temporary_folder_the_way_out_is_named(tmp_path: Path) -> None:
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"x_px,y_px,class\n1,2,a\n"))
    says = r": no folder for temporary files can be written; name one in the .* TMPDIR\.$"
    with pytest.raises(UserError, match=rf"^a\.csv\.gz cannot be unpacked{says}"):
        read_nuclei_here(packed)
    with (
        pytest.raises(UserError, match=rf"^Cannot write {os.devnull}{says}"),
        replacing(os.devnull),
    ):
        pytest.fail("nothing can be written")
    with pytest.raises(UserError, match=rf"^image cannot be lent to a job{says}"):
        WindowServer().file_for("image", "0" * 64)


def test_a_file_in_place_of_a_folder_is_not_said_to_be_missing(tmp_path: Path) -> None:
    assert require_folder(tmp_path) == tmp_path
    (tmp_path / "s.muse").touch()
    with pytest.raises(UserError, match=r"s\.muse is a file; give a folder\.$"):
        require_folder(tmp_path / "s.muse")
    with pytest.raises(UserError, match=r"^There is no folder .*nothing\.$"):
        require_folder(tmp_path / "nothing")


@pytest.mark.parametrize("ending", [".csv", ".geojson", ".parquet", ".h5ad", ".svs", ".png"])
def test_what_servers_give_in_place_of_a_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"f{ending}"
    read = open_slide if ending in (".svs", ".png") else read_nuclei_here
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(UserError, match="is a pointer of Git LFS and not the file itself"):
        read(path)
    path.write_text("\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n")
    with pytest.raises(UserError, match="is a web page and not the file itself"):
        read(path)


@pytest.mark.parametrize("name", ["n.csv", "n.geojson"])
def test_content_says_whether_a_file_is_packed(tmp_path: Path, name: str) -> None:
    """Browsers unpack some files and keep the name, and pack others that come packed."""
    write_nuclei(tmp_path / name, nucleus_table([1], [2], "a"), mpp=0.5)
    plain = (tmp_path / name).read_bytes()
    (tmp_path / f"{name}.gz").write_bytes(plain)
    (tmp_path / name).write_bytes(gzip.compress(plain))
    for path in (tmp_path / name, tmp_path / f"{name}.gz"):
        assert read_nuclei_here(path).table["x"].tolist() == [1]
