"""Hypothesis strategies for nuclei, and comparison of tables."""

from __future__ import annotations

import unicodedata

import pandas as pd
from hypothesis import strategies as st

from muse_core.nuclei import STATUSES, ClassScheme, NamedRegion, NucleusClass, nucleus_table
from muse_core.nuclei.outlines import outline_area

# Readers compose letters with accents.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).map(
    lambda text: unicodedata.normalize("NFC", text)
)
tricky = st.sampled_from(
    [
        "NA",
        "None",
        "null",
        "nan",
        "a,b",
        'say "x"',
        "1",
        "a: b",
        "\\",
        '\\"}],',
        '{"type":"Feature"',
        "[{",
    ]
)
# Readers strip the spaces around a name.
names = texts.map(str.strip).filter(bool) | tricky
rows = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-(2.0**31), 2.0**31),
    st.floats(-1e5, 1e6),
    names,
    st.floats(0, 1, width=32),
    st.sampled_from(STATUSES),
    texts | tricky,
)


@st.composite
def tables(draw: st.DrawFn, max_size: int = 8) -> pd.DataFrame:
    """NucleusTables of any values the schema allows."""
    drawn = draw(st.lists(rows, max_size=max_size, unique_by=lambda row: row[0]))
    ids, x, y, classes, score, status, model = (
        zip(*drawn, strict=True) if drawn else ([], [], [], [], [], [], [])
    )
    return nucleus_table(x, y, classes, score, status, model, ids=ids)


@st.composite
def schemes(draw: st.DrawFn) -> ClassScheme:
    """ClassSchemes with keys for some."""
    chosen = draw(st.lists(names, max_size=5, unique=True))
    colors = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
    return ClassScheme(
        tuple(
            NucleusClass(name, draw(colors), str(i + 1) if draw(st.booleans()) else "")
            for i, name in enumerate(chosen)
        )
    )


points = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
regions = st.lists(
    st.builds(
        NamedRegion,
        st.lists(points, min_size=3, max_size=6).filter(outline_area).map(tuple),
        texts,
        st.booleans(),
    ),
    max_size=3,
).map(tuple)
scales = st.none() | st.floats(0.01, 10)


def assert_same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Bit for bit the same nuclei in the same order."""
    for column in expected.columns:
        assert got[column].tolist() == expected[column].tolist(), column
    assert got["score"].dtype == expected["score"].dtype
    assert got["id"].dtype == expected["id"].dtype
