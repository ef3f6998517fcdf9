"""Positions in files count from the corner of the scanned area, on slides from their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    nucleus_table,
    placed_on_slide,
    read_nuclei,
    write_nuclei,
)
from muse_core.slides import Region

ORIGIN = (2560.0, 7680.0)
SCANNED = Region(*ORIGIN, 1024.0, 1024.0)
FIRST = (447.842, 5.31)
REGION = NamedRegion(((2600.5, 7700.0), (2700.0, 7700.0), (2700.0, 7800.0)), "field", True)


def on_slide() -> NucleusFile:
    table = nucleus_table([3007.842, 3210.656], [7685.31, 8000.25], ["a", "b"])
    return NucleusFile(table, ClassScheme.from_names(["a", "b"]), 0.499, (REGION,), (), (0.0, 0.0))


def test_positions_move_and_come_back_exactly() -> None:
    moved = on_slide().counted_from(ORIGIN)
    assert moved.table[["x", "y"]].to_numpy()[0].tolist() == list(FIRST)
    assert moved.regions[0].vertices[0] == (40.5, 20.0)
    assert (moved.regions[0].name, moved.regions[0].reviewed) == ("field", True)
    back = moved.counted_from((0.0, 0.0))
    pd.testing.assert_frame_equal(back.table, on_slide().table)
    assert back.regions == (REGION,)


def test_nothing_is_moved_from_an_unknown_place() -> None:
    with pytest.raises(UserError, match="not known"):
        NucleusFile(nucleus_table([1], [1], ["a"])).counted_from(ORIGIN)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".geojson", ".json.gz", ".parquet", ".h5ad"])
def test_files_note_where_they_count_from(tmp_path: Path, suffix: str) -> None:
    content, path = on_slide().counted_from(ORIGIN), tmp_path / f"n{suffix}"
    write_nuclei(path, content)
    read = read_nuclei(path)
    assert read.origin_px == ORIGIN
    assert read.table[["x", "y"]].to_numpy()[0] == pytest.approx(FIRST)
    placed = placed_on_slide(read, SCANNED)
    assert np.allclose(placed.table[["x", "y"]], on_slide().table[["x", "y"]])
    assert not any("counted from" in note for note in placed.notes)
    # A slide that is not mostly empty has one origin, whatever the file's purpose.
    same = placed_on_slide(read, Region(0.0, 0.0, 1024.0, 1024.0))
    assert same.table[["x", "y"]].to_numpy()[0] == pytest.approx(FIRST)


def test_of_a_file_that_does_not_say_its_positions_tell() -> None:
    alone = nucleus_table([447.842, 650.656], [5.31, 320.25], ["a", "b"])
    placed = placed_on_slide(NucleusFile(alone), SCANNED)
    assert np.allclose(placed.table[["x", "y"]], on_slide().table[["x", "y"]])
    assert "counted from x 2560, y 7680" in placed.notes[-1]
    whole = placed_on_slide(NucleusFile(on_slide().table), SCANNED)
    pd.testing.assert_frame_equal(whole.table, on_slide().table)
    assert "counted from the corner of the slide" in whole.notes[-1]


def test_regions_alone_tell_it_too() -> None:
    region = NamedRegion(((10, 10), (20, 10), (20, 20)))
    empty = nucleus_table([], [], [])
    placed = placed_on_slide(NucleusFile(empty, regions=(region,)), SCANNED)
    assert placed.regions[0].vertices[0] == (2570.0, 7690.0)
    placed = placed_on_slide(NucleusFile(empty, regions=(REGION,)), SCANNED)
    assert placed.regions == (REGION,)


def test_rows_that_count_from_several_places_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px,class,origin_x_px,origin_y_px\n1,1,a,0,0\n1,1,a,5,0\n")
    with pytest.raises(UserError, match=r"n.csv counts its nuclei from several places"):
        read_nuclei(path)


@given(
    st.tuples(*[st.floats(0, 2e5)] * 2), st.tuples(*[st.integers(-(10**6), 10**6).map(float)] * 2)
)
def test_moving_there_and_back_keeps_a_position(place: Any, origin: Any) -> None:
    table = nucleus_table([place[0]], [place[1]], ["a"])
    content = NucleusFile(table, origin_px=(0.0, 0.0))
    back = content.counted_from(origin).counted_from((0.0, 0.0))
    assert np.abs(back.table[["x", "y"]] - table[["x", "y"]]).to_numpy().max() < 2e-6
