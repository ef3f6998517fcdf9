"""Switch to a new model or back to an old one, and detect again with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from psygnal import Signal

from muse_core.jobs import Ended
from muse_core.models.registry import ModelEntry
from napari_muse.jobs.learning import parent_of
from napari_muse.session import MuseSession


class Detects(Protocol):
    """Has a model chosen and detects with it, as the panel does."""

    @property
    def running(self) -> bool:
        """Whether a detection is under way."""

    @property
    def chosen_entry(self) -> ModelEntry | None:
        """The chosen model."""

    def update_models(self, chosen: str | None) -> None:
        """List the models again and choose one by its path."""

    def run(self, again: bool = False, otherwise: Callable[[], None] = lambda: None) -> None:
        """Detect; again: wherever there are predictions. If nothing is started, call otherwise."""


class ModelSwitch:
    """Switches from one model to another, and reports it until the detection with it has ended.

    Signals:
        said: A sentence for the user.
    """

    said = Signal(str)

    def __init__(self, session: MuseSession, detects: Detects) -> None:
        self._session = session
        self._detects = detects
        self._chosen = ""

    @property
    def parent(self) -> ModelEntry | None:
        """The model that the person made the chosen one from, if it is still on this machine."""
        entry = self._detects.chosen_entry
        return None if entry is None or entry.bundled else parent_of(entry)

    def use(self, model: Path) -> bool:
        """Choose a model and detect with it; returns False if that is not possible now."""
        if self._detects.running:
            self.said.emit("A detection is running; use the new model when it has ended.")
            return False
        self._detects.update_models(str(model))
        self._detect("The new model is chosen", "detecting with it wherever there are predictions")
        return True

    def back(self) -> bool:
        """Choose the parent and restore its nuclei; returns False if that is not possible now."""
        parent = self.parent
        if parent is None:
            return False
        if self._detects.running:
            self.said.emit("A detection is running; go back when it has ended.")
            return False
        self._detects.update_models(str(parent.path))
        chosen = f"{parent.card.name} is chosen again"
        if self._session.slide is None or not self._session.annotations.has_file:
            self.said.emit(f"{chosen}.")
        else:
            self._detect(chosen, "detecting with it, to bring its nuclei back")
        return True

    def forget(self) -> None:
        """Forget the switch, because the user has chosen another model."""
        self._chosen = ""

    def on_detected(self, event: Ended) -> None:
        """Report how the detection that a switch has started has ended."""
        if self._chosen:
            self.said.emit(f"{self._chosen}. {event.message}")
        self._chosen = ""

    def _detect(self, chosen: str, doing: str) -> None:
        self._chosen = chosen
        self.said.emit(f"{chosen}; {doing}.")
        self._detects.run(again=True, otherwise=partial(self._on_not_started, chosen))

    def _on_not_started(self, chosen: str) -> None:
        """Report that the user has not said what a detection needs to know."""
        self._chosen = ""
        self.said.emit(f"{chosen}; nothing was detected with it. “Detect nuclei” does so.")
