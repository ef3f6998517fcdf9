"""Nuclei of a store that lie on its slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from muse_core.slides import Slide


def nuclei_on_slide(table: pd.DataFrame, slide: Slide) -> pd.DataFrame:
    """Return the rows of a NucleusTable, in level-0 pixels, that lie on a slide, edges included.

    Files of other programs may have brought some that do not, and nothing can be read there.
    """
    return table[table["x"].between(0, slide.width) & table["y"].between(0, slide.height)]
