"""The datasets that can be read, by name."""

from __future__ import annotations

from muse_core.data.datasets.brcam2c import BRCAM2C
from muse_core.data.datasets.consep import CONSEP
from muse_core.data.datasets.ocelot import OCELOT
from muse_core.data.datasets.pannuke import PANNUKE
from muse_core.data.datasets.puma import PUMA
from muse_core.data.datasets.source import Dataset
from muse_core.errors import UserError

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (BRCAM2C, OCELOT, PUMA, CONSEP, PANNUKE)
}


def find_dataset(name: str, split: str) -> Dataset:
    """A dataset by name; raises UserError when it or its split is unknown."""
    dataset = DATASETS.get(name.lower())
    if dataset is None:
        raise UserError(f"Unknown dataset {name!r}; choose from {', '.join(DATASETS)}.")
    if split not in dataset.splits:
        raise UserError(
            f"{dataset.name} has no split {split!r}; choose from {', '.join(dataset.splits)}."
        )
    return dataset
