from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.tables import Column, CsvTable, csv_names, read_csv_table

COLUMNS = {
    "x": Column(("x", "x_px"), number=True),
    "y": Column(("y", "y_px"), number=True),
    "class": Column(("class",)),
    "note": Column(("note",), needed=False),
}
ROWS = [[1.5, 2.25, "tumor"], [1234.5, 4.0, "Épithélium"]]


def read(folder: Path, content: str | bytes, encoding: str = "utf-8") -> CsvTable:
    path = folder / "t.csv"
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return read_csv_table(path, COLUMNS)


def rows(table: CsvTable) -> list[list[object]]:
    columns = (table.numbers("x").tolist(), table.numbers("y").tolist(), table.texts("class"))
    return [list(row) for row in zip(*columns, strict=True)]


PLAIN = "x,y,class\n1.5,2.25,tumor\n1234.5,4,Épithélium\n"
DIALECTS = {
    "comma": PLAIN,
    "crlf": PLAIN.replace("\n", "\r\n"),
    "cr": PLAIN.replace("\n", "\r"),
    "no end of line": PLAIN.rstrip("\n"),
    "semicolon": PLAIN.replace(",", ";"),
    "tab": PLAIN.replace(",", "\t"),
    "bar": PLAIN.replace(",", "|"),
    "sep line": "sep=;\n" + PLAIN.replace(",", ";"),
    "sep line, quoted": '"SEP=|"\r\n' + PLAIN.replace(",", "|"),
    "sep line, other": "sep=^\n" + PLAIN.replace(",", "^"),
    "sep line, tab": "sep=\t\n" + PLAIN.replace(",", "\t"),
    "decimal comma": PLAIN.replace(",", ";").replace(".", ","),
    "decimal comma, tab": PLAIN.replace(",", "\t").replace(".", ","),
    "decimal comma, quoted": 'x,y,class\n"1,5","2,25",tumor\n"1234,5",4,Épithélium\n',
    "thousands": 'x,y,class\n1.5,2.25,tumor\n"1,234.5",4,Épithélium\n',
    "thousands, German": "x;y;class\n1,5;2,25;tumor\n1.234,5;4;Épithélium\n",
    "thousands, French": "x;y;class\n1,5;2,25;tumor\n1\u202f234,5;4;Épithélium\n",
    "thousands, Swiss": "x;y;class\n1.5;2.25;tumor\n1'234.5;4;Épithélium\n",
    "quoted": '"x","y","class"\n"1.5","2.25","tumor"\n"1234.5","4","Épithélium"\n',
    "padded": ' x , y , class \n 1.5 , 2.25 , tumor \n 1234.5 , 4 , "Épithélium"\n',
    "padded cells": "x,y,class\n1.5, 2.25, tumor\n1234.5, 4, Épithélium\n",
    "no-break spaces": "\u00a0x,y\u00a0, class\n1.5,2.25,tumor\n1234.5,4,Épithélium\n",
    "other case": PLAIN.replace("x,y,class", "X_PX,Y_Px,Class"),
    "row index": ",x,y,class\n0,1.5,2.25,tumor\n1,1234.5,4,Épithélium\n",
    "row names of R": '"x"\t"y"\t"class"\n"1"\t1.5\t2.25\t"tumor"\n"2"\t1234.5\t4\t"Épithélium"\n',
    "empty rows": "\n" + PLAIN.replace("\n", "\n\n") + ",,\n  ,,\n,,,,,\n",
    "empty columns": "x,y,class,,\n1.5,2.25,tumor,,\n1234.5,4,Épithélium,,\n",
    "trailing separators": "x,y,class\n1.5,2.25,tumor,,,\n1234.5,4,Épithélium,,,\n",
    "short rows": "x,y,class,note,further\n1.5,2.25,tumor,a,b\n1234.5,4,Épithélium\n",
    "title": "Nuclei of slide 7\n\n" + PLAIN,
    "comment": "# written by a script, v2\n" + PLAIN,
    "exponent": "x,y,class\n1.5e0,225E-2,tumor\n1.2345e3,4,Épithélium\n",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_read_alike(tmp_path: Path, dialect: Any) -> None:
    assert rows(read(tmp_path, DIALECTS[dialect])) == ROWS


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("separator", [",", "\t"])
def test_every_encoding_is_read_alike(tmp_path: Path, encoding: str, separator: str) -> None:
    found = read(tmp_path, PLAIN.replace(",", separator), encoding)
    assert rows(found) == ROWS
    assert [("Windows-1252" in note) for note in found.notes] == [True] * (encoding == "cp1252")


def test_letters_beyond_the_first_block_show_the_encoding(tmp_path: Path) -> None:
    many = "x,y,class\n" + "1,2,tumor\n" * 5000 + "1,2,Épithélium\n"
    found = read(tmp_path, many, "cp1252")
    assert len(found) == 5001
    assert found.texts("class")[-1] == "Épithélium"


def test_as_pandas_writes_it_for_a_german(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(0, 1e5, (500, 2)).round(3), columns=["x", "y"])
    frame["class"] = "a;b"
    frame.to_csv(tmp_path / "t.csv", sep=";", decimal=",", encoding="utf-8-sig")
    found = read_csv_table(tmp_path / "t.csv", COLUMNS)
    assert found.numbers("x").tolist() == frame["x"].tolist()
    assert found.numbers("y").tolist() == frame["y"].tolist()
    assert set(found.texts("class")) == {"a;b"}


def test_packed_files_are_unpacked_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    assert rows(read_csv_table(path, COLUMNS)) == ROWS
    monkeypatch.setattr("muse_core.tables.text._MAX_UNPACKED_BYTES", 10)
    with pytest.raises(UserError, match=r"^t\.csv\.gz unpacks to more than"):
        read_csv_table(path, COLUMNS)
    path.write_bytes(gzip.compress(PLAIN.encode())[:-9])
    with pytest.raises(UserError, match=r"t\.csv\.gz is not a readable CSV"):
        read_csv_table(path, COLUMNS)
    # As browsers save it.
    path.write_bytes(PLAIN.encode())
    assert rows(read_csv_table(path, COLUMNS)) == ROWS


def test_names_of_classes_stay_as_they_are(tmp_path: Path) -> None:
    found = read(tmp_path, 'x,y,class\n1,2, a\n1,2,NA\n1,2,"say ""x"""\n1,2,"1,5"\n1,2,"a\nb"\n')
    assert found.texts("class").tolist() == [" a", "NA", 'say "x"', "1,5", "a\nb"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"t\.csv is not a readable CSV file: it is empty"),
        ("a,b\n1,2\n", r"t\.csv lacks the column\(s\) x, y, class; it has a, b\."),
        ("x;y;kind\n1;2;a\n", r"lacks the column\(s\) class; it has x, y, kind\."),
        ("x,X,y,class\n1,1,2,a\n", "has the column x twice"),
        ("x,y,class\n1,5,2,5,a\n", "more cells in line 2 than columns; .*decimal commas"),
        ("x,y,class\n" + "1,2,a\n" * 300 + "1,5,2,5,a\n", "more cells in line 302 than columns"),
        ("x,y,class\n1,2,a\n1,2,a,b\n", "more cells in line 3"),
        ("\n\nx,y,class\n\n1,2,a\n1,two,a\n", "'two' in the column y, line 6"),
        ("x;y;class\n1,5;2;a\n1.5;2;a\n", "'1,5' in the column x, line 2|'1.5' .*line 3"),
        ('x,y,class\n"1,234","5,678",a\n', "cannot be told whether a comma"),
        ("x,y,class\n1,,a\n", "'' in the column y, line 2, which is not a number"),
        (f"x,y,class\n1,1{'0' * 400},a\n", "too large"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "null characters"),
        (b"x,y,class\n1,2,\x81\n", "neither Unicode nor Windows-1252"),
        (b"\xff\xfex\0,\0y\0\n", "not a readable CSV"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        rows(read(tmp_path, content))
    assert str(caught.value).startswith("t.csv ")
    assert "\n" not in str(caught.value)


def test_a_long_header_is_shown_in_part(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a11 and 88 more\.$"):
        read(tmp_path, ",".join(f"a{i}" for i in range(100)) + "\n")


def test_names_of_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=;\nX;  Centroid   Y \n", encoding="utf-16")
    assert csv_names(tmp_path / "t.csv", COLUMNS) == ("x", "centroid y")
    (tmp_path / "t.csv").write_bytes(b"\0\1\2")
    assert csv_names(tmp_path / "t.csv", COLUMNS) == ()
    assert csv_names(tmp_path / "none.csv", COLUMNS) == ()
