"""Panel for fine-tuning: the data it will use, progress, and figures before and after."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from superqt.utils import qthrottled

from muse_core.finetune.config import FinetuneConfig
from muse_core.jobs import Ended
from napari_muse.jobs.finetune_outcome import uses_text
from napari_muse.jobs.learning import Learning
from napari_muse.jobs.model_switch import ModelSwitch
from napari_muse.jobs.tissue_area import TissueArea
from napari_muse.panels import forms
from napari_muse.panels.config_form import ConfigForm, Shown
from napari_muse.panels.curves import CurvePlots
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.panels.job_status import JobStatus
from napari_muse.panels.row_table import RowTable, cell
from napari_muse.plain_text import as_it_is, for_button
from napari_muse.session import MuseSession

if TYPE_CHECKING:
    from muse_core.nuclei.reviewed import AnnotationSummary
    from napari_muse.annotations.slide_annotations import SlideAnnotations

_THOROUGH = "full"
_MODES = {
    "adapt": ("Quick", "Train the last layers only: seconds to a minute"),
    _THOROUGH: ("Thorough", "Train all layers: minutes, with the slide's other tissue"),
}
_SHOWN = {"mode": Shown("Training", _MODES)}
_TABLE_HEIGHT_PX = 150
_LONGEST_NAME_PX = 180
_SOON_MS = 300


class LearnPanel(forms.Section):
    """The button "Fine-tune on my corrections" and all that belongs to it."""

    def __init__(self, session: MuseSession, learning: Learning, detect: DetectPanel) -> None:
        super().__init__("Learn from corrections", session)
        self._learning = learning
        self._detect = detect
        self.tissue = TissueArea(session)
        self.uses = forms.wrapped("")
        self._form = ConfigForm(FinetuneConfig, _SHOWN)
        self.mode = self._form.choice("mode")
        self.status = JobStatus(self.start, learning.cancel, "Stop; the best so far is kept")
        self.cancel, self.message = self.status.cancel, self.status.message
        self.curves = CurvePlots(learning.curves)
        tip = "Figures on reviewed fields that were kept out of training, with 95% intervals"
        heads = ("F1, holdout fields", "before", "after")
        self.proof = RowTable(*heads, tooltip=tip, least_px=_TABLE_HEIGHT_PX)
        self._switch = ModelSwitch(session, detect)
        self._refresh_soon = qthrottled(self.refresh, _SOON_MS, leading=False, parent=self)
        start = forms.row(self.start, self.cancel, stretch=0)
        status = (self.status.bar, self.message)
        proof = (self.curves, self.proof, forms.row(self.use, self.keep), self.back)
        forms.column(self, self.uses, self._form.layout, start, *status, *proof)
        learning.progress.connect(self.status.follow)
        learning.ended.connect(self._on_end)
        self.status.ticked.connect(self.curves.draw)
        self._switch.said.connect(self.status.say)
        detect.ended.connect(self._switch.on_detected)
        detect.model.currentIndexChanged.connect(self._on_model)
        self.mode.currentIndexChanged.connect(self.refresh)
        changes = (session.annotations_changed, session.regions_changed, session.slide_changed)
        self.follow(self.refresh, *changes, self.tissue.changed)
        self.in_the_end(self._refresh_soon.cancel, learning.stop_counting, self.tissue.close)
        self._show_proof(False)
        self._on_model()

    @forms.button("Fine-tune on my corrections")
    def start(self) -> None:
        """Make a model of your own from the chosen one and the fields you have reviewed."""
        self.start.setEnabled(False)
        counted = self._session.annotations
        self._learning.count(partial(self._start_with, counted), self._refuse)

    @forms.button("Use it")
    def use(self) -> None:
        """Choose the new model and detect again with it, wherever there are predictions."""
        outcome = self._learning.outcome
        if outcome is not None and outcome.model is not None and self._switch.use(outcome.model):
            self._show_proof(False)

    @forms.button("Keep the old one")
    def keep(self) -> None:
        """Leave the old model chosen; the new one stays in the list."""
        self._show_proof(False)
        self.status.say("The old model stays chosen; the new one is in the list.")

    @forms.button("Go back")
    def back(self) -> None:
        """Choose the model that this one was made from.

        Its nuclei come back where this one has looked.
        """
        if self._switch.back():
            self._show_proof(False)

    def refresh(self) -> None:
        """Count the data that a run would use, if the panel is visible, and show it."""
        self._refresh_soon.cancel()
        if not self.isVisible():
            return
        # For a slide or a scale that has come while this was in view.
        self.tissue.request()
        # Many fields take a while to count; what comes while they are being counted waits.
        if self._learning.counting:
            self._refresh_soon()
        else:
            self._learning.count(self._say_uses, self.uses.setText)

    def _say_uses(self, summary: AnnotationSummary | None) -> None:
        # In the quick mode nothing takes part that is not reviewed.
        thorough = self.mode.currentData() == _THOROUGH
        self.uses.setText(uses_text(summary, self.tissue.mm2 if thorough else None))

    def _refuse(self, sentence: str) -> None:
        self.start.setEnabled(True)
        self._session.refused.emit(sentence)

    def _start_with(self, counted: SlideAnnotations, summary: AnnotationSummary | None) -> None:
        self.start.setEnabled(True)
        if counted is not self._session.annotations:
            self._session.refused.emit("Another slide is shown by now; nothing was started.")
            return
        model, device = self._detect.model_and_device
        mode = self.mode.currentData()
        if self.attempt(lambda: self._learning.start(model, mode, device, summary)):
            self.curves.begin()
            self.status.begin()
            self._show_proof(False)
            self.curves.show()

    def _on_end(self, event: Ended) -> None:
        outcome = self._learning.outcome
        model = outcome.model if outcome is not None else None
        self.status.end(event)
        self._show_proof(model is not None)
        if outcome is not None and model is not None:
            self.message.setText(outcome.sentences(event.message))
            self.message.setToolTip(as_it_is(str(model)))
            self.proof.fill({at: map(cell, texts) for at, texts in enumerate(outcome.proof)})
            self.proof.resizeColumnsToContents()
            self.proof.setVisible(bool(outcome.proof))
            self._offer(worse=bool(outcome.fell))
            self._detect.update_models(self._detect.model.currentData())

    def _offer(self, worse: bool) -> None:
        """Offer the new model, or the old one first if the new one is worse."""
        self.use.setText("Use it anyway" if worse else "Use it")
        for each, first in ((self.use, not worse), (self.keep, worse)):
            each.setDefault(first)
            font = each.font()
            font.setBold(first)
            each.setFont(font)

    def _on_model(self) -> None:
        self._switch.forget()
        parent = self._switch.parent
        self.back.setVisible(parent is not None)
        if parent is not None:
            # A long name would drive the panel's contents off its right edge.
            middle = Qt.TextElideMode.ElideMiddle
            name = self.back.fontMetrics().elidedText(parent.card.name, middle, _LONGEST_NAME_PX)
            self.back.setText(for_button(f"Go back to {name}"))

    def _show_proof(self, proof: bool) -> None:
        for widget in (self.curves, self.proof, self.use, self.keep):
            widget.setVisible(proof)
