"""Published datasets in their own layouts, by name."""

from __future__ import annotations

from muse_core.data.datasets.brcam2c import BRCAM2C
from muse_core.data.datasets.consep import CONSEP
from muse_core.data.datasets.convert import Detail, convert_dataset
from muse_core.data.datasets.ocelot import OCELOT
from muse_core.data.datasets.pannuke import PANNUKE
from muse_core.data.datasets.puma import PUMA
from muse_core.data.datasets.registry import DATASETS, find_dataset
from muse_core.data.datasets.source import Dataset

__all__ = [
    "BRCAM2C",
    "CONSEP",
    "DATASETS",
    "OCELOT",
    "PANNUKE",
    "PUMA",
    "Dataset",
    "Detail",
    "convert_dataset",
    "find_dataset",
]
