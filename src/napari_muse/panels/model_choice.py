"""The choice of the network that detects."""

from __future__ import annotations

from typing import cast

from qtpy.QtGui import QStandardItem, QStandardItemModel

from muse_core.models.registry import ModelEntry
from napari_muse.jobs.detect_choices import detectors, model_entries
from napari_muse.panels.forms import Choice


class ModelChoice(Choice):
    """Detectors by their paths, and released backbones that can be fetched but not chosen."""

    def __init__(self) -> None:
        super().__init__("The network that finds and classifies nuclei")
        self._models: dict[str, ModelEntry] = {}
        self._list(None)

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        return self._models.get(self.currentData())

    def list_anew(self, chosen: str | None) -> None:
        """List the models on this machine again, and choose one by its path, with signals."""
        self._list(chosen)
        self.currentIndexChanged.emit(self.currentIndex())

    def _list(self, chosen: str | None) -> None:
        self._models = detectors()
        self.offer(model_entries(self._models), chosen)
        items = cast(QStandardItemModel, self.model())
        for at in range(len(self._models), self.count()):
            cast(QStandardItem, items.item(at)).setEnabled(False)
