"""One rule for the names of classes, models and regions: written names can be read again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    nucleus_table,
    read_nuclei,
    write_nuclei,
)

from .strategies import assert_same

FORMATS = ["n.csv", "n.tsv.gz", "n.geojson", "n.zip", "n.parquet", "n.h5ad"]
CORNERS = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.5))
NO_NAMES = {"x" * 1001: "of more than 1,000 letters", "a\0b": "with a null character"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_longest_names_come_back(tmp_path: Path, name: str) -> None:
    longest = "ä" * 1000
    table = nucleus_table([1, 2], [3, 4], [longest, "a"], model=["m", longest])
    regions = (NamedRegion(CORNERS, longest),)
    write_nuclei(tmp_path / name, NucleusFile(table, None, 0.5, regions))
    back = read_nuclei(tmp_path / name)
    assert_same(back.table, table)
    if name not in FORMATS[:2]:
        assert back.regions == regions


@pytest.mark.parametrize(("text", "fault"), NO_NAMES.items(), ids=["long", "null"])
def test_what_no_format_could_give_back_is_refused(text: str, fault: str) -> None:
    with pytest.raises(UserError, match=rf"the name of a class {fault}\.$"):
        nucleus_table([1], [2], text)
    with pytest.raises(UserError, match=rf"the name of a model {fault}\.$"):
        nucleus_table([1], [2], "a", model=text)
    with pytest.raises(UserError, match=rf"^A nucleus class cannot have a name {fault}\.$"):
        ClassScheme.from_names([text])
    with pytest.raises(UserError, match=rf"^A region cannot have a name {fault}\.$"):
        NamedRegion(CORNERS, text)


def test_a_table_of_another_program_with_an_endless_class_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x_px": [1.0], "y_px": [2.0], "class": ["x" * 1001]})
    frame.to_csv(tmp_path / "n.csv")
    frame.to_parquet(tmp_path / "n.parquet")
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match=rf"^{path.name}: .*more than 1,000 letters\.$"):
            read_nuclei(path)


def test_null_characters_that_pad_a_model_or_region_are_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x_px": [1.0], "y_px": [2.0], "class": ["a"], "model": ["m\0"]})
    frame.to_parquet(tmp_path / "n.parquet")
    ring = [*CORNERS, CORNERS[0]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {"classification": "a", "metadata": {"model": "m\0"}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "name": "r\0\0"},
        },
    ]
    path = tmp_path / "n.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert read_nuclei(tmp_path / "n.parquet").table["model"].tolist() == ["m"]
    back = read_nuclei(path)
    assert back.table["model"].tolist() == ["m"]
    assert [region.name for region in back.regions] == ["r"]
    assert back.notes == ()


@pytest.mark.parametrize("ending", [".csv", ".geojson", ".parquet", ".h5ad"])
def test_two_spellings_of_an_accent_are_one_class(tmp_path: Path, ending: str) -> None:
    composed, apart = "\u00e9pith\u00e9lium", "e\u0301pithe\u0301lium"
    path = tmp_path / f"n{ending}"
    table = nucleus_table([1, 2], [3, 4], [composed, apart])
    write_nuclei(path, NucleusFile(table, mpp=0.5))
    assert set(read_nuclei(path).table["class_name"]) == {composed}


def test_a_class_is_spelt_as_files_are() -> None:
    scheme = ClassScheme.from_names(["e\u0301"])
    assert scheme.names == ("\u00e9",)
    assert scheme.index("e\u0301") == 0
    with pytest.raises(UserError, match="two are called"):
        ClassScheme.from_names(["e\u0301", "\u00e9"])
