"""Pipes, devices and folders in place of files: one message, and no waiting."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import read_small, replacing
from muse_core.nuclei import read_nuclei_here
from muse_core.ordinary import require_file
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
def no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /tmp is read-only and TMPDIR is a folder that does not exist."""
    nowhere = ["/nonexistent"]
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
