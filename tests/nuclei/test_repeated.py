"""Nuclei that a file gives more than once."""

from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.nuclei import nucleus_table, read_nuclei, write_nuclei
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.repeated import each_once

ENDS = [".csv", ".geojson", ".parquet", ".h5ad"]


@pytest.mark.parametrize("end", ENDS)
def test_a_nucleus_that_a_file_repeats_counts_once(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"n{end}"
    names = ["tumor", "tumor", "stroma", "tumor", "tumor"]
    table = nucleus_table([1.5, 1.5, 1.5, 8, 1.5], [2, 2, 2, 2, 2], names, ids=[7, 5, 6, 4, 8])
    write_nuclei(path, table, mpp=0.5)
    content = read_nuclei(path)
    assert content.table["id"].tolist() == [7, 6, 4]
    assert content.table["class_name"].tolist() == ["tumor", "stroma", "tumor"]
    assert content.notes == (
        "2 nuclei repeat others of their class and place, and were left out.",
        "1 nucleus lies exactly where one of another class does.",
    )


def test_a_deleted_nucleus_is_no_repetition_of_one_that_is_there() -> None:
    words = ["deleted", "predicted", "deleted"]
    content = NucleusFile(nucleus_table([1, 1, 1], [2, 2, 2], ["a", "a", "b"], status=words))
    assert each_once(content) is not content
    assert each_once(content).table.equals(content.table)
    assert each_once(content).notes == ()


def test_nuclei_of_different_places_stay_as_they_are() -> None:
    content = NucleusFile(nucleus_table([1, 2, 1], [1, 1, 2], "a"))
    assert each_once(content) is content
