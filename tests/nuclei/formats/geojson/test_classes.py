"""Classes of GeoJSON features, as different programs name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .geojson_files import feature, read


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Class": "tumor"}, "tumor"),
        ({"Cell_Type": "tumor", "ID": 7}, "tumor"),
        ({"TYPE": 3}, "3"),
        ({"cellType": "tumor"}, "tumor"),
        ({"Cell Type": "tumor"}, "tumor"),
        ({"Type": "Detection", "Label": "tumor"}, "tumor"),
        ({"Class": "other", "class": "tumor"}, "tumor"),
        ({"type": 2.0}, "2"),
        ({"type": 2.5}, "unclassified"),
        ({"class": True}, "True"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": {"names": [None]}}, "unclassified"),
        ({"classification": None, "class": "tumor"}, "tumor"),
    ],
)
def test_every_spelling(tmp_path: Path, properties: Any, expected: str) -> None:
    found = read(tmp_path, [feature(("Point", [1, 2]), properties)])
    assert found.table["class_name"].tolist() == [expected]
