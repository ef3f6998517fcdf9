"""Panel "Learn now": turns relearning on, and shows its quality and changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from muse_core.jobs import Event, Progress
from napari_muse.jobs.relearning import Relearning
from napari_muse.panels import forms
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.session import MuseSession

_METHODS = (
    ("Linear", "logistic", "Shift the model's own class borders; best with few corrections"),
    ("Nearest", "knn", "Let the corrected nuclei that look most alike vote"),
)


class RelearnPanel(forms.Section):
    """Turns learning on and off and shows its result."""

    def __init__(self, session: MuseSession, relearning: Relearning, detect: DetectPanel) -> None:
        super().__init__("Learn now", session)
        self._relearning = relearning
        self._detect = detect
        self.on = forms.check_box(
            "Learn from each correction at once",
            "Every nucleus you correct, confirm or add teaches the rest of the slide (Shift-L)."
            " Your own decisions stay; Ctrl-Z takes each step back",
        )
        self.method = forms.Choice("How classes follow from corrections", *_METHODS)
        self.says, self.moves = forms.wrapped(""), forms.wrapped("")
        methods = forms.row(self.method, self.show_changed)
        for at in (0, 1):
            methods.setStretch(at, 1)
        forms.column(self, self.on, self.says, self.moves, methods, self.compute, self.save)
        self.on.clicked.connect(self._on_click)
        self.method.currentIndexChanged.connect(self._on_method)
        self.follow(self._on_progress, relearning.missing.progress)
        self.follow(self._on_saved, relearning.saved)
        self.follow_now(self.refresh, relearning.changed)

    @forms.button("Show what changed")
    def show_changed(self) -> None:
        """Outline for some seconds the nuclei in view whose class the last step has changed."""
        learnt, nuclei = self._relearning.learnt, self._session.nuclei
        if learnt is not None:
            nuclei.outline(learnt.changed_ids)
            if not np.isin(nuclei.shown_ids, learnt.changed_ids).any():
                self._session.told.emit("None of the nuclei that changed is in view.")

    @forms.button("Compute features")
    def compute(self) -> None:
        """Compute the features of the nuclei that have none.

        The model is the one chosen in the tab Detect; it takes about as long as detecting. Press
        again to stop.
        """
        missing = self._relearning.missing
        if missing.running:
            missing.cancel()
        else:
            self._relearning.compute_features(self._detect.model.currentData())

    @forms.button("Save as a model")
    def save(self) -> None:
        """Keep what was learnt here as a model of your own.

        You can detect with it on other slides, and fine-tune it.
        """
        self._relearning.save_model()

    def refresh(self) -> None:
        """Show the current state."""
        state = self._relearning
        self.on.setChecked(state.on)
        learnt = state.learnt
        self.show_changed.setEnabled(learnt is not None and len(learnt.changed_ids) > 0)
        self.compute.setVisible(state.can_compute)
        self.compute.setText("Stop computing" if state.missing.running else "Compute features")
        self.save.setEnabled(state.can_save)
        self.moves.setText(learnt.moves_text if state.on and learnt is not None else "")
        self.moves.setVisible(bool(self.moves.text()))
        self.says.setText(state.sentence)

    def _on_click(self, on: bool) -> None:
        # It is checked only when the user has agreed.
        self.on.setChecked(self._relearning.on)
        self._relearning.turn(on)

    def _on_method(self) -> None:
        self._relearning.choose(self.method.currentData())

    def _on_progress(self, event: Event) -> None:
        if isinstance(event, Progress) and event.total:
            done = f"{event.message}: {event.done} of {event.total} tiles"
            self.says.setText(f"{done}{event.time_left}")

    def _on_saved(self, path: str, refusal: str) -> None:
        if refusal:
            self._session.refused.emit(refusal)
        else:
            self._detect.update_models(self._detect.model.currentData())
            name = Path(path).stem
            self._session.told.emit(f"Saved as {name}; it can be chosen in the tab Detect.")
