"""The strip "Learn now": on or off, how well it goes, and what it has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QCheckBox, QComboBox, QGroupBox

from muse_core.jobs import Event, Progress
from napari_muse.jobs.relearning import Relearning
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.panels.forms import Following, add_choice, column, combo, push_button, row, wrapped
from napari_muse.session import MuseSession

_METHODS = (
    ("logistic", "Linear", "Shift the model's own class borders; best with few corrections"),
    ("knn", "Nearest", "Let the corrected nuclei that look most alike vote"),
)


class RelearnPanel(Following, QGroupBox):
    """Turns learning on and off and says what came of it."""

    def __init__(self, session: MuseSession, relearning: Relearning, detect: DetectPanel) -> None:
        super().__init__("Learn now")
        self._session = session
        self._relearning = relearning
        self._detect = detect
        self.on = QCheckBox("Learn from each correction at once")
        self.on.setToolTip(
            "Every nucleus you correct, confirm or add teaches the rest of the slide (Shift-L)."
            " Your own decisions stay; Ctrl-Z takes each step back"
        )
        self.method: QComboBox = combo("How classes follow from corrections")
        for value, label, tip in _METHODS:
            add_choice(self.method, label, value, tip)
        self.says = wrapped("")
        self.moves = wrapped("")
        self.show_changed = push_button(
            "Show what changed",
            "Outline for some seconds the nuclei in view whose class the last step has changed",
            self._on_show,
        )
        self.compute = push_button(
            "Compute features",
            "Compute the features of the nuclei that have none, by the model chosen in the tab"
            " Detect; takes about as long as detecting. Press again to stop",
            self._on_compute,
        )
        self.save = push_button(
            "Save as a model",
            "Keep what was learnt here as a model of your own, to detect with on other slides or to"
            " fine-tune",
            lambda: session.attempt(relearning.save_model),
        )
        self._lay_out()
        self.on.clicked.connect(self._on_click)
        self.method.currentIndexChanged.connect(self._on_method)
        self.follow(
            (relearning.missing.progress, self._on_progress),
            (relearning.saved, self._on_saved),
            (relearning.changed, self.update_state),
        )
        self.update_state()

    def update_state(self) -> None:
        """Say how things stand."""
        state = self._relearning
        self.on.setChecked(state.on)
        learnt = state.learnt
        changed = learnt is not None and len(learnt.changed_ids) > 0
        self.show_changed.setEnabled(changed)
        self.compute.setVisible(state.can_compute)
        self.compute.setText("Stop computing" if state.missing.running else "Compute features")
        self.save.setEnabled(state.can_save)
        self.moves.setText(learnt.moves_text if state.on and learnt is not None else "")
        self.moves.setVisible(bool(self.moves.text()))
        self.says.setText(state.sentence)

    def _on_click(self, on: bool) -> None:
        # It is ticked once it is agreed to.
        self.on.setChecked(self._relearning.on)
        self._relearning.turn(on)

    def _on_method(self) -> None:
        self._relearning.choose(self.method.currentData())

    def _on_show(self) -> None:
        learnt = self._relearning.learnt
        if learnt is None:
            return
        nuclei = self._session.nuclei
        nuclei.outline(learnt.changed_ids)
        here = int(np.isin(nuclei.shown_ids, learnt.changed_ids).sum())
        if not here:
            self._session.told.emit("None of the nuclei that changed is in view.")

    def _on_compute(self) -> None:
        state = self._relearning
        if state.missing.running:
            state.missing.cancel()
            return
        model = self._detect.model.currentData()
        self._session.attempt(lambda: state.compute_features(model))

    def _on_progress(self, event: Event) -> None:
        if isinstance(event, Progress) and event.total:
            done = f"{event.message}: {event.done} of {event.total} tiles"
            self.says.setText(f"{done}{event.time_left}")

    def _on_saved(self, path: str, refusal: str) -> None:
        if refusal:
            self._session.refused.emit(refusal)
            return
        self._detect.update_models(self._detect.model.currentData())
        name = Path(path).stem
        self._session.told.emit(f"Saved as {name}; it can be chosen in the tab Detect.")

    def _lay_out(self) -> None:
        methods = row(self.method, self.show_changed, stretch=0)
        methods.setStretch(1, 1)
        column(self, self.on, self.says, self.moves, methods, self.compute, self.save)
