"""Panel for detection: area, model, device, progress and result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from muse_core.errors import UserError
from muse_core.jobs import DetectJob, Ended
from muse_core.models.registry import ModelEntry
from muse_core.nuclei import ClassScheme
from muse_core.slides import PolygonRegion, Region
from napari_muse.jobs import detect_choices
from napari_muse.jobs.detection import Detection
from napari_muse.layers.drawn_areas import draw_area
from napari_muse.panels import forms
from napari_muse.panels.config_form import ConfigForm, Shown
from napari_muse.panels.image_panel import ImagePanel
from napari_muse.panels.job_status import JobStatus
from napari_muse.panels.mapping_dialog import MappingDialog
from napari_muse.panels.model_choice import ModelChoice
from napari_muse.panels.scale_field import ScaleField
from napari_muse.session import MuseSession

_UNFINISHED = "A detection of this slide was not finished; Finish goes on with it."
_DEVICES = {
    "auto": ("Automatic", ""),
    "cpu": ("CPU", ""),
    "cuda": ("NVIDIA GPU (CUDA)", ""),
    "mps": ("Apple GPU (MPS)", ""),
}
_PRECISIONS = {
    "auto": ("Automatic", "Half precision where the device is faster with it"),
    "float32": ("Exact (float32)", "The same nuclei on every device; slower"),
    "int8": ("Fast (int8)", "On CPUs only, faster; about one nucleus in 40 differs"),
}
_SHOWN = {
    "device": Shown("Device", _DEVICES),
    "precision": Shown("Precision", _PRECISIONS),
    "min_score": Shown(
        "Min. score", name="The score", step=0.05, decimals=4, unset="as the model says"
    ),
    "mpp": Shown("µm/pixel", name="The size of a pixel", step=0.05, unset="unknown", most=20.0),
}


class DetectPanel(forms.Section):
    """Starts and follows a detection."""

    def __init__(self, session: MuseSession, detection: Detection) -> None:
        super().__init__("Detect", session)
        self._detection = detection
        self._again = False
        self.mapping_dialog: MappingDialog | None = None
        self.images = ImagePanel(session)
        self.model = ModelChoice()
        self.place = forms.Choice("Which part of the slide is looked at", *detect_choices.PLACES)
        self._form = ConfigForm(DetectJob, _SHOWN)
        self.device, self.precision = self._form.choice("device"), self._form.choice("precision")
        self.min_score, self.mpp = self._form.number("min_score"), self._form.number("mpp")
        self.scale = ScaleField(session, self.mpp, self.say)
        kept, sentence = "Stop; what has been found is kept", session.pictures.sentence()
        self.status = JobStatus(self.start, detection.cancel, kept, sentence)
        self.cancel, self.message = self.status.cancel, self.status.message
        self._lay_out()
        self.model.currentIndexChanged.connect(self._on_model)
        for choice in (self.device, self.precision):
            choice.currentIndexChanged.connect(self._make_ready)
        for field in (self.mpp, self.min_score):
            field.refused.connect(self.say)
        detection.progress.connect(self.status.follow)
        detection.ended.connect(self._on_end)
        self.follow(self._on_pictures, session.pictures.changed)
        self._on_model()
        self.follow_now(self._on_slide, session.slide_changed)

    @forms.button("Draw area")
    def draw(self) -> None:
        """Add a layer to draw rectangles or outlines in."""
        draw_area(self._session.viewer, self._session.slide, "add_rectangle")
        self.place.choose("shapes")
        self.say("Drag on the slide to draw a rectangle; the tools for other shapes are at left.")

    @forms.button("Detect nuclei")
    def start(self) -> None:
        """Find and classify every nucleus there; corrected nuclei are kept."""
        self.run()

    @forms.button("Finish")
    def finish(self) -> None:
        """Go on with the detection of this slide that was not finished."""
        unfinished = self._detection.unfinished()
        if unfinished is None:
            raise UserError("There is no detection to go on with any more.")
        self._begin(lambda: self._detection.finish(unfinished))

    @property
    def chosen_entry(self) -> ModelEntry | None:
        """The chosen model."""
        return self.model.entry

    @property
    def model_and_device(self) -> tuple[Any, Any]:
        """Path of the chosen model, or None, and name of the chosen device."""
        return self.model.currentData(), self.device.currentData()

    @property
    def ended(self) -> Any:
        """The signal of detections that have ended."""
        return self._detection.ended

    @property
    def running(self) -> bool:
        """Whether a detection is under way."""
        return self._detection.running

    def attempt(self, act: Callable[[], object]) -> bool:
        """Call a function; a UserError is shown in the panel, and False returned."""
        try:
            act()
        except UserError as error:
            self.say(str(error))
            return False
        return True

    def say(self, sentence: str) -> None:
        """Show one sentence to the user."""
        self.status.say(sentence)

    def update_models(self, chosen: str | None) -> None:
        """List the models on this machine again, and choose one by its path."""
        self.model.list_anew(chosen)

    def run(self, again: bool = False, otherwise: Callable[[], None] = lambda: None) -> None:
        """Start a detection with the form's settings; errors are shown in the panel.

        Args:
            again: Search wherever the slide has predictions, if it has any, instead of the area
                chosen in the form.
            otherwise: Called if no detection is started.
        """
        self._again = again
        numbers = self.mpp.commit() and self.min_score.commit()
        if not (numbers and self.scale.settled() and self.attempt(self._shapes)):
            otherwise()
            return
        mapping = detect_choices.known_mapping(self._session, self.chosen_entry)
        if mapping is None:
            self._ask_mapping(otherwise)
        else:
            self._start(mapping, otherwise)

    def _ask_mapping(self, otherwise: Callable[[], None]) -> None:
        unknown = detect_choices.unknown_classes(self._session, self.chosen_entry)
        theirs, ours = unknown or ((), ())
        dialog = MappingDialog(self._session, self.model.currentText(), theirs, ours, self)
        dialog.accepted.connect(lambda: self._start(dialog.mapping, otherwise))
        dialog.rejected.connect(otherwise)
        dialog.open()
        self.mapping_dialog = dialog

    def _start(self, mapping: Mapping[str, str], otherwise: Callable[[], None]) -> None:
        model = self.model.currentData()
        if mapping:
            self._session.class_maps.keep(self._session.slide, model, mapping)
        job = DetectJob(slide="", model=model, **self._form.values())
        start = self._detection.start
        if not self.attempt(lambda: self._begin(lambda: start(job, self._shapes(), mapping))):
            otherwise()

    def _begin(self, start: Callable[[], None]) -> None:
        """Start a job and show that it runs; raises UserError where it cannot be started."""
        start()
        self._session.activate_nuclei()
        self.finish.hide()
        self.status.begin()

    def _shapes(self) -> list[Region | PolygonRegion]:
        again = self._detection.shapes_again() if self._again else None
        if again is not None:
            return again
        return detect_choices.chosen_shapes(self._session, self.place.currentData())

    def _make_ready(self, *_: object) -> None:
        if self.chosen_entry is not None:
            self._detection.make_ready(*self.model_and_device, self.precision.currentData())

    def _on_model(self) -> None:
        self._make_ready()
        entry = self.chosen_entry
        if entry is None:
            return
        try:
            self._session.offer_scheme(ClassScheme.from_json(entry.card.classes))
        except UserError as error:
            self.say(f"{entry.card.name}: {error}")
        self.min_score.setToolTip(detect_choices.score_tip(entry))

    def _on_slide(self) -> None:
        slide = self._session.slide
        self.scale.show_slide()
        self._on_pictures()
        if slide is not None and not self._detection.running:
            self.say(f"{slide.title}: {slide.width} x {slide.height} px.")
        self._offer_to_finish(_UNFINISHED)

    def _on_pictures(self) -> None:
        if self._session.slide is None:
            self.say(self._session.pictures.sentence())

    def _offer_to_finish(self, sentence: str) -> None:
        """Show the button "Finish" with a sentence, if there is an unfinished detection."""
        there = self._detection.unfinished() is not None
        self.finish.setVisible(there)
        if there:
            self.say(f"{self.message.text()} {sentence}".strip())

    def _on_end(self, event: Ended) -> None:
        self.status.end(event)
        self._offer_to_finish("Finish goes on from there.")

    def _lay_out(self) -> None:
        form = self._form.layout
        form.insertRow(0, "Model", self.model)
        form.insertRow(3, "Where", forms.within(forms.row(self.place, self.draw, stretch=0)))
        buttons = forms.row(self.start, self.finish, self.cancel, stretch=0)
        scale = (self.scale.hint, self.scale.question)
        forms.column(self, self.images, form, *scale, buttons, self.status.bar, self.message)
        area, numbers = (self.place, self.draw), (self.min_score, self.mpp)
        forms.in_tab_order(self.model, self.device, self.precision, *area, *numbers, self.start)
