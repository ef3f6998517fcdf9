"""Tables whose rows are nuclei of several slides, which would be laid over each other."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import shapely

from muse_core.errors import UserError
from muse_core.nuclei import read_nuclei_here


@pytest.mark.parametrize(
    "column",
    ["slide", "Slide ID", "slide_name", "image_id", "library_id", "FileName", "wsi_name", "file"],
)
def test_csv(tmp_path: Path, column: str) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"{column},x_px,y_px,class\na.svs,1,2,t\n,3,4,t\na.svs,5,6,t\n")
    assert len(read_nuclei_here(path).table) == 3
    path.write_text(f"{column},x_px,y_px,class\na.svs,1,2,t\nb.svs,3,4,t\n")
    with pytest.raises(UserError, match=rf"slides by the column '{column.lower()}' \(a\.svs, b"):
        read_nuclei_here(path)


def test_a_slide_that_was_renamed_is_one_slide(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    rows = "old.svs,sha256:00,1,2,t\nnew.svs,sha256:00,3,4,t\n"
    path.write_text(f"slide,slide_content,x_px,y_px,class\n{rows}")
    assert len(read_nuclei_here(path).table) == 2


@pytest.mark.parametrize("column", ["slide", "Slide_ID", "image", "file_name"])
@pytest.mark.parametrize("outlines", [False, True])
@pytest.mark.parametrize("kind", ["object", "category"])
def test_parquet(tmp_path: Path, column: str, outlines: bool, kind: str) -> None:
    def write(slides: list[str | None]) -> Path:
        frame = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"]})
        if outlines:
            frame["geometry"] = [shapely.Point(1, 3).buffer(2).wkb] * 2
            frame = frame.drop(columns=["x_px", "y_px"])
        frame[column] = pd.Series(slides, dtype=kind)
        frame.to_parquet(tmp_path / "n.parquet")
        return tmp_path / "n.parquet"

    assert len(read_nuclei_here(write(["a.svs", None])).table) == 2
    with pytest.raises(UserError, match=rf"by the column '{column}' \(a\.svs, b\.svs\); keep"):
        read_nuclei_here(write(["a.svs", "b.svs"]))


def test_pictures_beside_nuclei_name_no_slide(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"]})
    frame["image"] = [b"one", b"two"]
    frame.to_parquet(tmp_path / "n.parquet")
    assert len(read_nuclei_here(tmp_path / "n.parquet").table) == 2
