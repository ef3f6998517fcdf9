"""Panel for the review queue: its choice and order, the position, and buttons for its keys."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar

from muse_core.jobs import Done, Ended, Event, Progress
from napari_muse.annotations.queue_entries import UNCERTAINTY_ENTRIES, class_entries, region_entries
from napari_muse.annotations.review_queue import QueueChoice, ReviewQueue
from napari_muse.jobs.disagreement import Comparison
from napari_muse.layers.region_layer import region_polygon
from napari_muse.panels import forms
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.session import MuseSession

_COMPARE = "Compare neighbours"


class QueuePanel(forms.Section):
    """Starts the queue and steps through it."""

    def __init__(
        self, session: MuseSession, queue: ReviewQueue, comparison: Comparison, where: DetectPanel
    ) -> None:
        """Build the form.

        Args:
            session: Session whose nuclei are reviewed.
            queue: The queue.
            comparison: Compares nuclei with those that look like them.
            where: Gives the model and device for the comparison.
        """
        super().__init__("Uncertain nuclei", session)
        self._queue, self._comparison, self._where = queue, comparison, where
        self.kind = forms.Choice("What makes a nucleus uncertain", *UNCERTAINTY_ENTRIES)
        self.of_class = forms.Choice("Look at nuclei of this class only")
        self.within = forms.Choice("Look inside this region only")
        self.go_on = forms.check_box(
            "Go on after each decision",
            "After Space, a digit or Delete the view moves to the next uncertain nucleus by itself",
            queue.goes_on,
        )
        self.compared, self.message = forms.wrapped(""), forms.wrapped("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        form = forms.form_layout(
            ("Uncertainty", self.kind), ("Class", self.of_class), ("Region", self.within)
        )
        walk = forms.row(self.start, self.back, self.skip)
        comparing = (self.compare, self.compared)
        forms.column(self, form, self.go_on, walk, self.bar, self.message, *comparing)
        self.go_on.toggled.connect(self._on_go_on)
        comparison.progress.connect(self._on_progress)
        comparison.ended.connect(self._on_end)
        queue.choose = self._choice
        self.follow(self._on_slide, session.slide_changed)
        self.follow_now(self._list_classes, session.annotations_changed)
        self.follow_now(self._list_regions, session.regions_changed)
        self.follow_now(self._show_position, queue.changed)

    @forms.button("Start")
    def start(self) -> None:
        """Order the nuclei nobody has looked at, and go to the most uncertain."""
        self._queue.start(self._choice())

    @forms.button("Back")
    def back(self) -> None:
        """Go to the nucleus before (Shift-N)."""
        self._queue.previous()

    @forms.button("Next")
    def skip(self) -> None:
        """Leave this nucleus as it is and go to the next (N)."""
        self._queue.next()

    @forms.button(_COMPARE)
    def compare(self) -> None:
        """Find for each nucleus those that look most like it, to see where their classes differ.

        Takes about as long as detecting.
        """
        if self._comparison.running:
            self.compare.setEnabled(False)
            self._comparison.cancel()
            return
        self._comparison.start(*self._where.model_and_device)
        self.compare.setText("Cancel comparing")
        self.compared.setText("Starting …")

    def _choice(self) -> QueueChoice:
        region = self.within.currentData()
        return QueueChoice(
            self.kind.currentData(),
            self.of_class.currentData(),
            None if region is None else region_polygon(self._session.annotations, region),
        )

    def _on_progress(self, event: Event) -> None:
        if isinstance(event, Progress):
            done = f"{event.message}: {event.done} of {event.total}"
            self.compared.setText(f"{done}{event.time_left}")

    def _on_end(self, event: Ended) -> None:
        self.compare.setEnabled(True)
        self.compare.setText(_COMPARE)
        self.compared.setText(event.message)
        if isinstance(event, Done):
            self.kind.choose("disagreement")

    def _on_go_on(self, on: bool) -> None:
        self._queue.goes_on = on

    def _on_slide(self) -> None:
        # A region of this slide may have the number of one of the slide before.
        self.within.setCurrentIndex(0)
        self._list_regions()

    def _list_classes(self) -> None:
        classes = class_entries(self._session.annotations)
        self.of_class.offer(classes, self.of_class.currentData())

    def _list_regions(self) -> None:
        regions = region_entries(self._session.annotations)
        self.within.offer(regions, self.within.currentData())

    def _show_position(self) -> None:
        queue = self._queue
        for each in (self.back, self.skip):
            each.setEnabled(queue.running)
        self.bar.setVisible(queue.running)
        self.message.setText(queue.sentence)
        if queue.running:
            self.bar.setRange(0, queue.length)
            self.bar.setValue(queue.position)
