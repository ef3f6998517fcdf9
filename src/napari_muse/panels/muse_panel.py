"""The dock widget: creates the sections and ends their work when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QSize
from qtpy.QtWidgets import QApplication, QTabWidget, QWidget

from napari_muse.annotations.review_queue import ReviewQueue
from napari_muse.interaction.asking import Ask, decline
from napari_muse.interaction.canvas_focus import CanvasFocus
from napari_muse.interaction.careful_edits import CarefulEdits
from napari_muse.interaction.following import Following
from napari_muse.interaction.keys import Keys
from napari_muse.io.dropped_files import DroppedFiles
from napari_muse.jobs.detection import Detection
from napari_muse.jobs.disagreement import Comparison
from napari_muse.jobs.learning import Learning
from napari_muse.jobs.relearning import Relearning
from napari_muse.jobs.session_job import SessionJob
from napari_muse.napari_compat import main_widget, unwrapped
from napari_muse.panels import forms
from napari_muse.panels.close_at_exit import close_at_exit
from napari_muse.panels.close_question import CloseQuestion
from napari_muse.panels.confirm import ask
from napari_muse.panels.detect_panel import DetectPanel
from napari_muse.panels.edit_panel import EditPanel
from napari_muse.panels.export_panel import ExportPanel
from napari_muse.panels.focus_ring import FocusRing
from napari_muse.panels.learn_panel import LearnPanel
from napari_muse.panels.legend_panel import LegendPanel
from napari_muse.panels.page import Page
from napari_muse.panels.picture_panel import PicturePanel
from napari_muse.panels.queue_panel import QueuePanel
from napari_muse.panels.region_panel import RegionPanel
from napari_muse.panels.relearn_panel import RelearnPanel
from napari_muse.panels.status_line import StatusLine
from napari_muse.session import MuseSession

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QCloseEvent

_WIDTH_PX = 350
_MARGIN_PX = 5


class MusePanel(QWidget):
    """Detect, look, correct, export."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        viewer = unwrapped(napari_viewer)
        self.session = MuseSession.of(viewer)
        self._take_over(viewer)
        close_at_exit(self.session)
        self.detection = Detection(self.session, parent=self)
        self.detect = DetectPanel(self.session, self.detection)
        self.picture = PicturePanel(self.session)
        self.legend = LegendPanel(self.session)
        self.queue = ReviewQueue(self.session)
        self.comparison = Comparison(self.session, parent=self)
        edits = CarefulEdits(self.session, lambda: self.queue.arriving)
        self.relearning = Relearning(self.session, parent=self)
        self.detection.ended.connect(
            lambda _end: self.relearning.on_detected(self.detection.annotations)
        )
        self.relearn = RelearnPanel(self.session, self.relearning, self.detect)
        self.keys = Keys(
            self.session,
            self.queue,
            edits,
            self.legend.choose_new,
            lambda: self.relearning.turn(not self.relearning.on),
        )
        self.queue.teaches = self.relearning.order_to_ask
        self.relearning.taught.connect(self.queue.reorder)
        self.edit = EditPanel(self.session, self.keys)
        self.review = QueuePanel(self.session, self.queue, self.comparison, self.detect)
        self.regions = RegionPanel(self.session, edits)
        self.learning = Learning(self.session, parent=self)
        self.learn = LearnPanel(self.session, self.learning, self.detect)
        self.export = ExportPanel(self.session)
        self.tabs = self._make_tabs()
        self.status = StatusLine(self.session)
        self._ask: Ask = partial(ask, self)
        self.session.ask = self._ask
        whole = forms.column(self, self.picture, self.legend, self.tabs, self.status)
        whole.setContentsMargins(_MARGIN_PX, _MARGIN_PX, _MARGIN_PX, _MARGIN_PX)
        whole.setStretchFactor(self.tabs, 1)
        CanvasFocus(self.session.viewer, self)
        FocusRing(self)
        CloseQuestion(self.session.viewer, self.learning, self)
        self._dropped = DroppedFiles(self.session.viewer, self)
        self._ends = ends = self._ends_of_work()
        # The window may be destroyed without an event to the panel; running work must end with it
        # and not call widgets that no longer exist.
        self.destroyed.connect(lambda: _call_each(ends))
        pictures = self.session.pictures
        self.destroyed.connect(lambda: pictures.changed.disconnect())

    def _make_tabs(self) -> QTabWidget:
        tabs = QTabWidget()
        tabs.setDocumentMode(True)
        correcting = (self.relearn, self.review, self.edit)
        for title, tip, sections in (
            ("Detect", "Find and classify nuclei, and save them", (self.detect, self.export)),
            ("Review", "Correct nuclei, the uncertain ones first", correcting),
            ("Regions", "Fields and regions, their counts and densities", (self.regions,)),
            ("Learn", "Make a model of your own from your corrections", (self.learn,)),
        ):
            tabs.addTab(Page(*sections), title)
            tabs.setTabToolTip(tabs.count() - 1, tip)
        return tabs

    def _ends_of_work(self) -> list[Callable[[], object]]:
        """Functions that end the work of all parts and disconnect them from the session."""
        parts = (w for w in self.findChildren(QWidget) if isinstance(w, Following))
        return [
            *(part.disconnect_all for part in parts),
            self.detection.close,
            self.comparison.close,
            self.learning.close,
            self.relearning.close,
            self.queue.close,
            self._dropped.close,
            self.session.rest,
        ]

    def _take_over(self, viewer: Any) -> None:
        """Replace another panel of the viewer, since both would answer each key."""
        for other in QApplication.allWidgets():
            if isinstance(other, MusePanel) and other is not self and other.session is self.session:
                other.release()
                with suppress(LookupError):  # A script has not docked it.
                    viewer.window.remove_dock_widget(other)

    def _say_what_ends(self) -> None:
        """Name the jobs that end with the panel, if its window stays open."""
        jobs: tuple[tuple[SessionJob, str], ...] = (
            (self.detection, "The detection was stopped; what has been found is kept."),
            (self.learning, "Fine-tuning was stopped; the best model so far is kept."),
            (self.comparison, "Comparing neighbours was stopped."),
            (self.relearning.missing, "Computing features was stopped."),
        )
        ended = [sentence for job, sentence in jobs if job.running]
        if ended and main_widget(self.session.viewer).isVisible():
            show_info(" ".join(("The MUSE panel was closed.", *ended)))

    def release(self) -> None:
        """Stop running jobs and disconnect from the session, which keeps its nuclei."""
        if not self._ends:
            return
        self.keys.close()
        if self.session.ask is self._ask:
            self.session.ask = decline
        _call_each(self._ends)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return what the parts need, and no less than a dock that is easy to read."""
        return super().minimumSizeHint().expandedTo(QSize(_WIDTH_PX, 0))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Release when napari removes the widget from a closed dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._say_what_ends()
            self.release()
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Release when the widget itself is closed."""
        self.release()
        super().closeEvent(event)


def _call_each(acts: list[Callable[[], object]]) -> None:
    """Call each of some functions, and never again."""
    while acts:
        acts.pop(0)()
