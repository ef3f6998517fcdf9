from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import (
    CSV_COLUMNS,
    STATUSES,
    NucleusFile,
    empty_table,
    is_nucleus_csv,
    nucleus_table,
    read_csv,
    read_nuclei,
    write_csv,
    write_nuclei,
)
from muse_core.nuclei.formats.csv import read_csv_file
from muse_core.nuclei.formats.headings import CLASS_KEYS, SCORE_NAMES
from muse_core.nuclei.recorded_slide import RecordedSlide

from ..strategies import names, texts

rows = st.tuples(
    st.integers(0, 2**53),
    st.floats(-1e5, 1e6),
    st.floats(-1e5, 1e6),
    names,
    st.floats(0, 1),
    st.sampled_from(STATUSES),
    texts,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows, max_size=8, unique_by=lambda row: row[0]), st.floats(0.1, 2))
def test_round_trip(tmp_path: Path, nuclei: Any, mpp: float) -> None:
    ids, x, y, names, score, status, model = zip(*nuclei, strict=True) if nuclei else ([],) * 7
    table = nucleus_table(x, y, names, score, status, model, ids=ids)
    write_csv(table, tmp_path / "n.csv", mpp)
    back = read_csv(tmp_path / "n.csv")
    for column in ("id", "class_name", "status", "model"):
        assert back[column].tolist() == table[column].tolist()
    assert np.allclose(back["x"], table["x"], rtol=0, atol=0.00051)
    assert np.allclose(back["y"], table["y"], rtol=0, atol=0.00051)
    assert np.allclose(back["score"], table["score"], rtol=0, atol=0.00001)
    assert back.dtypes.equals(table.dtypes) or not len(table)


def test_a_file_that_is_written_again_is_the_same(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).uniform(0, 3000, (2, 200))
    write_csv(nucleus_table(x, y, ["tumor"] * 200), tmp_path / "n.csv", 0.499)
    write_nuclei(tmp_path / "again.csv", read_nuclei(tmp_path / "n.csv"))
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "n.csv").read_bytes()


def test_columns_and_microns(tmp_path: Path) -> None:
    write_csv(nucleus_table([10], [20.25], "tumor", 0.75, model="m"), tmp_path / "n.csv", 0.5)
    text = (tmp_path / "n.csv").read_text(encoding="utf-8")
    assert text.splitlines() == [
        "id,x_px,y_px,x_um,y_um,class,score,status,model",
        "0,10,20.25,5,10.125,tumor,0.75,predicted,m",
    ]
    assert tuple(pd.read_csv(tmp_path / "n.csv").columns) == CSV_COLUMNS


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
def test_names_of_several_lines_come_back(tmp_path: Path, ending: str) -> None:
    names = ["line\nfeed", "return\rin it", "both\r\n", "tab\tand, comma", 'a "quote"']
    table = nucleus_table(range(5), range(5), names, model="m\rn")
    write_csv(table, tmp_path / f"n{ending}", 0.5, slide=RecordedSlide("s\r.tif", "sha256:0"))
    back = read_csv(tmp_path / f"n{ending}")
    assert back["class_name"].tolist() == [n.strip() for n in names]
    assert set(back["model"]) == {"m\rn"}
    assert back["x"].tolist() == [0, 1, 2, 3, 4]


def test_no_nuclei(tmp_path: Path) -> None:
    write_csv(empty_table(), tmp_path / "n.csv", 0.5)
    assert len(read_csv(tmp_path / "n.csv")) == 0


def test_three_columns_by_hand_are_enough(tmp_path: Path) -> None:
    # As written by spreadsheets: byte order mark, CRLF, other columns in between.
    path = tmp_path / "hand.csv"
    text = "class,note,y_px,x_px\r\ntumor,hm,2,1\r\nstroma,,4.5,3\r\n"
    path.write_text(text, encoding="utf-8-sig", newline="")
    table = read_csv(path)
    assert table[["id", "x", "y", "class_name"]].to_numpy().tolist() == [
        [0, 1.0, 2.0, "tumor"],
        [1, 3.0, 4.5, "stroma"],
    ]
    assert (table["score"] == 1).all()
    assert (table["status"] == "predicted").all()


def test_positions_without_a_unit_are_pixels_and_a_note_says_so(tmp_path: Path) -> None:
    # As in the tables of a points-folder.
    path = tmp_path / "points.csv"
    path.write_text("X,Y,Class\n1,2,tumor\n3,4.5,stroma\n")
    file = read_csv_file(path)
    assert file.table[["x", "y", "class_name"]].to_numpy().tolist() == [
        [1.0, 2.0, "tumor"],
        [3.0, 4.5, "stroma"],
    ]
    assert file.notes == ("Positions were taken as pixels of the full resolution.",)
    assert is_nucleus_csv(path)
    path.write_text("X,y,class\nNA,2,tumor\n")
    with pytest.raises(UserError, match="in the column x, line 2"):
        read_csv_file(path)
    # If there is a column with the unit too, that one is used.
    path.write_text("x,y,x_px,y_px,class\n0.5,1,1,2,tumor\n")
    file = read_csv_file(path)
    assert file.table[["x", "y"]].to_numpy().tolist() == [[1.0, 2.0]]
    assert file.notes == ()
    assert is_nucleus_csv(path)


def test_empty_cells_get_defaults_where_there_are_some(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("x_px,y_px,class,score,status,model\n1,2,tumor,,,\n")
    row = read_csv(path).iloc[0]
    assert (row["score"], row["status"], row["model"]) == (1, "predicted", "")


@pytest.mark.parametrize("key", [*CLASS_KEYS, "className"])
def test_classes_of_other_programs_are_found_by_the_names_of_their_columns(
    tmp_path: Path, key: str
) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"x_px,y_px,{key}\n1,2,tumor\n")
    assert read_csv(path)["class_name"].tolist() == ["tumor"]


def test_ids_of_other_programs_are_replaced_where_none_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("id,x_px,y_px,class\n3f2a-9,1,2,a\nb771-0,3,4,a\n")
    found = read_csv_file(path)
    assert found.table["id"].tolist() == [0, 1]
    assert "Ids that are no numbers were replaced." in found.notes
    path.write_text("id,x_px,y_px,class\n7,1,2,a\nb771-0,3,4,a\n")
    with pytest.raises(UserError, match=r"'b771-0' in the column id, line 3"):
        read_csv_file(path)


@pytest.mark.parametrize(("um", "mpp"), [("50,100", 0.5), ("50000,100000", None), ("0,0", None)])
def test_positions_called_microns_that_cannot_be_tell_no_scale(
    tmp_path: Path, um: str, mpp: float | None
) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"x_px,y_px,x_um,y_um,class\n100,200,{um},a\n")
    assert read_csv_file(path).mpp == mpp


def test_names_of_classes_count_more_than_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("class,type,class_name,x_px,y_px\n1,2,tumor,3,4\n")
    assert read_csv(path)["class_name"].tolist() == ["tumor"]


@pytest.mark.parametrize("key", SCORE_NAMES)
@pytest.mark.parametrize(("mark", "between"), [(".", ","), (",", ";")])
def test_scores_of_other_programs_are_found_by_the_names_of_their_columns(
    tmp_path: Path, key: str, mark: str, between: str
) -> None:
    path = tmp_path / "n.csv"
    rows = (("x_px", "y_px", "class", key), *((1, 2, "a", v) for v in (f"0{mark}25", "NA", "")))
    path.write_text("".join(between.join(map(str, row)) + "\n" for row in rows))
    assert read_csv(path)["score"].tolist() == [0.25, 1, 1]


@pytest.mark.parametrize("odd", ["high", "87", "-1", "nan", "1e999"])
def test_what_is_no_probability_of_another_program_is_no_score(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"x_px,y_px,class,confidence\n1,2,a,0.5\n1,2,a,{odd}\n")
    assert read_csv(path)["score"].tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a readable CSV"),
        ("a,b\n1,2\n", r"lacks the column\(s\) x_px, y_px, class"),
        ("x_um,y_um,class\n1,2,a\n", r"lacks the column\(s\) x_px, y_px;.*microns are not read"),
        ("Centroid X µm\tCentroid Y µm\tClass\n1\t2\ta\n", r"in microns are not read; export"),
        ("x_um,y_um,class\n1,2,a\n", r"in microns are not read; export"),
        ("x_px,y_px,x_um\n1,2,3\n", r"class; it has x_px, y_px, x_um\.$"),
        ("x_px,y_px\n1,2\n", r"lacks the column\(s\) class"),
        ("x_px,y_px,class\n1,two,a\n", "not a number|two"),
        ("x_px,y_px,class\n1,,a\n", "not a number"),
        ("x_px,y_px,class\n1,nan,a\n", "not a number"),
        ("x_px,y_px,class,status\n1,2,a,seen\n", "seen"),
        ("x_px,y_px,class,score\n1,2,a,7\n", "between 0 and 1"),
        ("id,x_px,y_px,class\n1,1,2,a\n1,3,4,a\n", "id 1 twice"),
        ("id,x_px,y_px,class\n1.5,1,2,a\n", "whole number"),
        ("id,x_px,y_px,class\n,1,2,a\n", "id|number"),
        (
            "id,x_px,y_px,class\n99999999999999999999,1,2,a\n",
            "99999' in the column id, line 2, .*too large",
        ),
        (f"x_px,y_px,class\n1,1{'0' * 400},a\n", "too large"),
        ("id,x_px,y_px,class\n1,1,2,a\n-9223372036854775809,1,2,a\n", "line 3, .*too large"),
        ('x_px,y_px,class\n1,2,a\n1,2,"open\n3,4,b\n', "quotation mark in line 3 .*never closed"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_csv(path)
    assert "bad.csv" in str(caught.value)


def test_binary_missing_and_folder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.csv"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UserError, match=r"noise.csv"):
        read_csv(path)
    with pytest.raises(UserError, match=r"no file .*nowhere.csv"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_csv(tmp_path)


def test_writing_where_one_cannot_leaves_nothing(tmp_path: Path) -> None:
    table = nucleus_table([1], [2], "tumor")
    with pytest.raises(UserError, match="Cannot write"):
        write_csv(table, tmp_path / "no" / "folder" / "n.csv", 0.5)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="Cannot write"):
        write_csv(table, tmp_path / "folder.csv", 0.5)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.csv"]


def test_an_older_file_stays_when_the_table_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    write_csv(nucleus_table([1], [2], "tumor"), path, 0.5)
    before = path.read_bytes()
    with pytest.raises(UserError):
        write_csv(nucleus_table([1], [2], "tumor").drop(columns="x"), path, 0.5)
    for mpp in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="Microns per pixel"):
            write_csv(nucleus_table([1], [2], "tumor"), path, mpp)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["n.csv"]


def _as_german_excel(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8-sig")


def _as_unicode_text(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, sep="\t", index=False, encoding="utf-16")


def _with_empty_rows_and_columns(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(frame.assign(**{"": ""}).to_csv(index=False) + ",,,,,,,,,\n" * 3)


def _capitals(frame: pd.DataFrame, path: Path) -> None:
    frame.rename(columns=lambda name: f" {name.upper()} ").to_csv(path)


def _nullable_ids(frame: pd.DataFrame, path: Path) -> None:
    frame.astype({"id": "float64"}).to_csv(path, index=False, quoting=1)


@pytest.mark.parametrize(
    "save",
    [
        _as_german_excel,
        _as_unicode_text,
        _with_empty_rows_and_columns,
        _capitals,
        _nullable_ids,
    ],
)
def test_our_file_comes_back_from_a_spreadsheet_as_it_was(tmp_path: Path, save: Any) -> None:
    rng = np.random.default_rng(1)
    table = nucleus_table(
        rng.uniform(0, 1e5, 50).round(3),
        rng.uniform(0, 1e5, 50).round(3),
        ["tumor", "NA"] * 25,
        rng.uniform(0, 1, 50).round(5),
        ["added", "predicted"] * 25,
        ["", "m"] * 25,
        ids=np.arange(50) * 7,
    )
    write_csv(table, tmp_path / "n.csv", 0.4991)
    save(pd.read_csv(tmp_path / "n.csv", keep_default_na=False), tmp_path / "s.csv")
    found = read_nuclei(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(found.table, table)
    assert found.mpp == pytest.approx(0.4991, abs=1e-5)


def test_ids_beyond_float64_stay_exact(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("id,x_px,y_px,class\n9007199254740993,1,2,a\n-7,3,4,a\n")
    assert read_csv(tmp_path / "n.csv")["id"].tolist() == [2**53 + 1, -7]


def test_columns_of_qupath_in_pixels_are_taken_and_those_in_microns_named(tmp_path: Path) -> None:
    path = tmp_path / "n.tsv"
    path.write_text("Object ID\tClassification\tCentroid X px\tCentroid Y px\na\tTumor\t1.5\t2\n")
    assert read_csv(path)[["x", "y", "class_name"]].to_numpy().tolist() == [[1.5, 2, "Tumor"]]
    path.write_text("Class\tCentroid X µm\tCentroid Y µm\nTumor\t1.5\t2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"x_px, y_px; it has class, centroid x µm, centroid y µm"):
        read_csv(path)


def test_a_column_of_coordinates_that_turns_to_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px,class\n1,2,a\n" + "3,4,a\n" * 2000 + "tumor,4,a\n")
    with pytest.raises(UserError, match=r"^n\.csv holds 'tumor' in the column x_px, line 2,003"):
        read_csv(path)


@pytest.mark.parametrize("name", ["n.tsv", "n.csv.gz", "N.TSV.GZ"])
def test_tabs_and_packed_files(tmp_path: Path, name: str) -> None:
    table = nucleus_table([1.5], [2], "tumor", model="m")
    write_nuclei(tmp_path / name, NucleusFile(table, mpp=0.5))
    raw = (tmp_path / name).read_bytes()
    text = (gzip.decompress(raw) if name.lower().endswith("gz") else raw).decode()
    separator = "\t" if "tsv" in name.lower() else ","
    assert text.splitlines()[0] == separator.join(CSV_COLUMNS)
    found = read_nuclei(tmp_path / name)
    assert found.table.equals(table)
    assert found.mpp == 0.5


def test_files_of_nuclei_are_known_by_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    for text, known in (
        ("sep=;\nX_PX;Y_PX;Class\n", True),
        ("a,b\n1,2\n", False),
        ("x_um,y_um\n", True),
        ("x,y,class\n", True),
        ("id,X,y,Classification,score\n", True),
        ("x,y,class,eccentricity\n", False),  # Of any table of measurements.
        ("x,y\n", False),
        ("", False),
    ):
        path.write_text(text, encoding="utf-16")
        assert is_nucleus_csv(path) == known, text


QUPATH = "Image\tObject type\tName\tClassification\tROI\tCentroid X px\tCentroid Y px\n"


def test_tables_of_qupath_hold_other_objects_too(tmp_path: Path) -> None:
    path = tmp_path / "measurements.tsv"
    others = "a.svs\tAnnotation\tArea 1\t\tPolygon\t300\t200\na.svs\tTMA core\tA-1\t\tEllipse\t\t\n"
    cells = "a.svs\tCell\t\tTumor\tPolygon\t15.25\t10.5\na.svs\tDetection\t\tStroma\tPoint\t1\t2\n"
    path.write_text(QUPATH + others + cells)
    found = read_nuclei(path)
    assert found.table[["x", "y", "class_name"]].to_numpy().tolist() == [
        [15.25, 10.5, "Tumor"],
        [1.0, 2.0, "Stroma"],
    ]
    assert found.notes == ("2 rows of other objects (annotation, tma core) were left out.",)
    path.write_text(QUPATH + others)
    with pytest.raises(
        UserError, match=r"all its rows are of other objects \(annotation, tma core"
    ):
        read_nuclei(path)
    path.write_text(QUPATH + cells + cells.replace("a.svs", "b.svs"))
    with pytest.raises(UserError, match=r"slides by the column 'image' \(a\.svs, b\.svs\); keep"):
        read_nuclei(path)
