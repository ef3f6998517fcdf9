"""GeoJSON in a zip archive, as QuPath exports it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table, read_nuclei, write_nuclei
from muse_core.nuclei.formats.geojson.packed import holds_geojson

TABLE = nucleus_table([1, 2], [3, 4], ["a", "b"])
TEXT = (
    '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point",'
    '"coordinates":[1.5,2.5]},"properties":{"objectType":"detection"}}]}'
)


def archive(path: Path, *names: str, text: str = TEXT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, text)
    return path


@pytest.mark.parametrize("name", ["n.zip", "n.geojson.zip", "N.ZIP"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_nuclei(tmp_path / name, NucleusFile(TABLE, ClassScheme.from_names(["a", "b"]), 0.5))
    found = read_nuclei(tmp_path / name)
    pd.testing.assert_frame_equal(found.table, TABLE)
    assert found.mpp == 0.5
    with zipfile.ZipFile(tmp_path / name) as file:
        assert [n.lower() for n in file.namelist()] == ["n.geojson"]


def test_of_an_archive_the_one_file_of_geojson_counts(tmp_path: Path) -> None:
    litter = ("__MACOSX/._a.geojson", ".DS_Store", "read me.txt", "._b.json")
    path = archive(tmp_path / "q.zip", "folder/a.geojson", *litter)
    assert holds_geojson(path)
    assert read_nuclei(path).table[["x", "y"]].to_numpy().tolist() == [[1.5, 2.5]]


def test_utf_16_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "u.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("u.geojson", TEXT.encode("utf-16"))
    assert len(read_nuclei(path).table) == 1


@pytest.mark.parametrize(
    ("names", "match"),
    [((), "no file of GeoJSON"), (("a.txt",), "no file"), (("a.json", "b.geojson"), "2 files")],
)
def test_none_or_several_are_refused(tmp_path: Path, names: tuple[str, ...], match: str) -> None:
    path = archive(tmp_path / "z.zip", *names)
    assert not holds_geojson(path)
    with pytest.raises(UserError, match=rf"z.zip holds {match}"):
        read_nuclei(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_archive(tmp_path: Path, share: float) -> None:
    path = archive(tmp_path / "z.zip", "a.geojson")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"z.zip"):
        read_nuclei(path)


def test_damaged_content_and_a_password(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.zip", "a.geojson")
    data = bytearray(path.read_bytes())
    data[45:60] = bytes(15)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"z.zip"):
        read_nuclei(path)
    locked = bytearray(archive(tmp_path / "l.zip", "a.geojson").read_bytes())
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "l.zip").write_bytes(locked)
    with pytest.raises(UserError, match=r"l.zip is a zip archive that cannot be unpacked"):
        read_nuclei(tmp_path / "l.zip")
