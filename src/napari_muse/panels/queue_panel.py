"""The queue of doubtful nuclei: what is in it, where one is, and buttons for its keys."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QGroupBox, QProgressBar

from muse_core.classify.queue import DOUBT_KINDS, TEACHES
from muse_core.jobs import Done, Ended, Event, Progress
from napari_muse.annotations.review_queue import QueueChoice, ReviewQueue
from napari_muse.jobs.disagreement import Comparison
from napari_muse.layers.region_layer import region_polygon
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.panels.forms import (
    Following,
    add_choice,
    column,
    combo,
    fill_choice,
    form_layout,
    push_button,
    row,
    wrapped,
)
from napari_muse.session import MuseSession

_COMPARE = "Compare neighbours"
_NAMES = {
    "entropy": "Unsure among all classes",
    "margin": "Unsure between two",
    "disagreement": "Unlike its neighbours",
}
_TEACHES_MEANS = "With “Learn now” on: doubtful by now, and each unlike those before it"


class QueuePanel(Following, QGroupBox):
    """Starts the queue and walks along it."""

    def __init__(
        self, session: MuseSession, queue: ReviewQueue, comparison: Comparison, where: DetectPanel
    ) -> None:
        """Build the form.

        Args:
            session: Whose nuclei are looked at.
            queue: What is started and walked along.
            comparison: Compares nuclei with those that look like them.
            where: Says with which model and on which device.
        """
        super().__init__("Doubtful nuclei")
        self._session = session
        self._queue = queue
        self._comparison = comparison
        self._where = where
        self.kind = combo("What makes a nucleus doubtful")
        for kind, meaning in DOUBT_KINDS.items():
            add_choice(self.kind, _NAMES[kind], kind, meaning[0].upper() + meaning[1:])
        add_choice(self.kind, "Teaches most", TEACHES, _TEACHES_MEANS)
        self.of_class = combo("Look at nuclei of this class only")
        self.within = combo("Look inside this region only")
        self.go_on = QCheckBox("Go on after each decision")
        self.go_on.setChecked(queue.goes_on)
        self.go_on.setToolTip(
            "After Space, a digit or Delete the view moves to the next doubtful nucleus by itself"
        )
        self._make_buttons()
        self.compared = wrapped("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.message = wrapped("")
        self._lay_out()
        self.go_on.toggled.connect(self._on_go_on)
        comparison.progress.connect(self._on_progress)
        comparison.ended.connect(self._on_end)
        queue.choose = self._choice
        self.follow(
            (queue.changed, self._show_position),
            (session.annotations_changed, self._list_classes),
            (session.regions_changed, self._list_regions),
            (session.slide_changed, self._on_slide),
        )
        self._list_classes()
        self._list_regions()
        self._show_position()

    def _make_buttons(self) -> None:
        self.start = push_button(
            "Start",
            "Order the nuclei nobody has looked at, and go to the most doubtful",
            self.begin,
        )
        self.back = push_button(
            "Back",
            "Go to the nucleus before (Shift-N)",
            lambda: self._session.attempt(self._queue.previous),
        )
        self.skip = push_button(
            "Next",
            "Leave this nucleus as it is and go to the next (N)",
            lambda: self._session.attempt(self._queue.next),
        )
        self.compare = push_button(
            _COMPARE,
            "Find for each nucleus those that look most like it, to see where their classes differ."
            " Takes about as long as detecting",
            self._on_compare,
        )

    def begin(self) -> None:
        """Start the queue with what the form says; a refusal is shown as a sentence."""
        self._session.attempt(lambda: self._queue.start(self._choice()))

    def _choice(self) -> QueueChoice:
        region = self.within.currentData()
        return QueueChoice(
            self.kind.currentData(),
            self.of_class.currentData(),
            None if region is None else region_polygon(self._session.annotations, region),
        )

    def _on_compare(self) -> None:
        if self._comparison.running:
            self.compare.setEnabled(False)
            self._comparison.cancel()
            return
        model, device = self._where.model.currentData(), self._where.device.currentData()
        if self._session.attempt(lambda: self._comparison.start(model, device)):
            self.compare.setText("Cancel comparing")
            self.compared.setText("Starting …")

    def _on_progress(self, event: Event) -> None:
        if isinstance(event, Progress):
            done = f"{event.message}: {event.done} of {event.total}"
            self.compared.setText(f"{done}{event.time_left}")

    def _on_end(self, event: Ended) -> None:
        self.compare.setEnabled(True)
        self.compare.setText(_COMPARE)
        self.compared.setText(event.message)
        if isinstance(event, Done):
            self.kind.setCurrentIndex(self.kind.findData("disagreement"))

    def _on_go_on(self, on: bool) -> None:
        self._queue.goes_on = on

    def _on_slide(self) -> None:
        # A region of this slide may have the number of one of the slide before.
        self.within.setCurrentIndex(0)
        self._list_regions()

    def _list_classes(self) -> None:
        annotations = self._session.annotations
        classes = zip(annotations.scheme.names, annotations.class_ids, strict=True)
        entries = [("All classes", None), *classes]
        fill_choice(self.of_class, entries, self.of_class.currentData())

    def _list_regions(self) -> None:
        regions = self._session.annotations.regions()
        named = zip(regions["name"], regions["id"], strict=True)
        entries = [("Whole slide", None), *((n or f"region {i}", int(i)) for n, i in named)]
        fill_choice(self.within, entries, self.within.currentData())

    def _show_position(self) -> None:
        queue = self._queue
        for button in (self.back, self.skip):
            button.setEnabled(queue.running)
        self.bar.setVisible(queue.running)
        self.message.setText(queue.sentence)
        if queue.running:
            self.bar.setRange(0, queue.length)
            self.bar.setValue(queue.position)

    def _lay_out(self) -> None:
        form = form_layout()
        form.addRow("Doubt", self.kind)
        form.addRow("Class", self.of_class)
        form.addRow("Region", self.within)
        walk = row(self.start, self.back, self.skip)
        comparing = (self.compare, self.compared)
        column(self, form, self.go_on, walk, self.bar, self.message, *comparing)
