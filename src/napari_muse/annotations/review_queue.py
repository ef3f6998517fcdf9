"""ReviewQueue: steps through the uncertain nuclei of a slide. No widgets here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from muse_core.array_types import Mask
from muse_core.classify.queue import TEACHES, review_order
from muse_core.errors import UserError
from muse_core.nuclei import Status
from muse_core.nuclei.store import NucleusRows
from muse_core.slides import PolygonRegion
from napari_muse.interaction.camera_animation import Flight
from napari_muse.interaction.following import relay
from napari_muse.session import MuseSession


@dataclass(frozen=True)
class QueueChoice:
    """Choice of the nuclei that a review queue holds, and of their order.

    Attributes:
        kind: Kind of uncertainty, see ``muse_core.classify.queue``, or ``TEACHES``.
        class_id: Only nuclei of this class; None takes all.
        polygon: Only nuclei inside; None takes the whole slide.
    """

    kind: str = "entropy"
    class_id: int | None = None
    polygon: PolygonRegion | None = None


@dataclass(frozen=True, eq=False)
class _Rows:
    """Where the nuclei of an order are among the rows of a slide.

    Attributes:
        order: (N,) ids, as the queue has them.
        ids: Those of all rows.
        there: (N,) which of the order exist.
        at: (n,) rows of these.
    """

    order: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    there: Mask
    at: npt.NDArray[np.intp]


def _nothing_taught() -> npt.NDArray[np.int64]:
    raise UserError("Turn on “Learn now” first: the queue then asks what teaches most.")


class ReviewQueue:
    """Steps through the predictions nobody has looked at, most uncertain first.

    The order is fixed when the queue starts, so that going back leads to the nucleus before. Nuclei
    that have been edited in the meantime are skipped.
    """

    changed = Signal()

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._flight = Flight(session.viewer)
        self.choose: Callable[[], QueueChoice] = QueueChoice
        """Gives the choice for a queue that is started by :meth:`next`."""
        self.teaches: Callable[[], npt.NDArray[np.int64]] = _nothing_taught
        """Gives ids in the order in which corrections would teach most; raises UserError."""
        self._choice: QueueChoice | None = None
        self._order: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._rows: _Rows | None = None
        self._at = -1
        self.goes_on = True
        """Whether confirming, correcting or removing the current nucleus leads to the next."""
        session.slide_changed.connect(self.stop)
        relay(session.annotations_changed, self.changed)

    def close(self) -> None:
        """Stop following the session, and stop the camera."""
        self._flight.stop()
        self._session.slide_changed.disconnect(self.stop)
        self._session.annotations_changed.disconnect(self.changed.emit)

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return bool(len(self._order))

    @property
    def current(self) -> int | None:
        """Id of the nucleus it is at."""
        return int(self._order[self._at]) if 0 <= self._at < len(self._order) else None

    @property
    def position(self) -> int:
        """Number of nuclei visited so far, the current one included."""
        return self._at + 1

    @property
    def length(self) -> int:
        """Number of nuclei in the queue."""
        return len(self._order)

    @property
    def sentence(self) -> str:
        """Sentence on the position in the queue, or on how to start it."""
        if not self.running:
            return "N goes to the most uncertain nucleus of what is chosen here."
        return f"{self.position:,} of {self.length:,}; {self.left():,} left"

    def left(self) -> int:
        """Number of nuclei after the current one that nobody has looked at."""
        return int((self._statuses()[self._at + 1 :] == Status.PREDICTED).sum())

    def start(self, choice: QueueChoice) -> None:
        """Order the nuclei and go to the first.

        Raises:
            UserError: There is none to look at, or they are still being read.
        """
        self._session.annotations.require_read()
        rows = self._rows_of(choice)
        if not len(rows):
            raise UserError("There is no nucleus here that nobody has looked at.")
        if choice.kind == "disagreement" and np.isnan(rows["disagreement"]).all():
            raise UserError("The neighbours were not compared yet: press “Compare neighbours”.")
        self._order, self._choice = self._ordered(choice, rows), choice
        self._at = -1
        self.next()

    def reorder(self) -> None:
        """Update the order of a queue of kind ``TEACHES``; the current nucleus stays."""
        if self._choice is None or self._choice.kind != TEACHES or not self.running:
            return
        rows = self._rows_of(self._choice)
        if len(rows):
            behind = self._order[: self._at + 1]
            coming = self._ordered(self._choice, rows)
            self._order = np.concatenate([behind, coming[~np.isin(coming, behind)]])
            self.changed.emit()

    def stop(self) -> None:
        """Forget the order, and stay where the camera is."""
        self._flight.stop()
        self._order, self._at = self._order[:0], -1
        self.changed.emit()

    def next(self) -> None:
        """Go to the next nucleus nobody has looked at; starts the queue where it is not running.

        Raises:
            UserError: There is none.
        """
        if not self.running:
            self.start(self.choose())
            return
        coming = np.flatnonzero(self._statuses()[self._at + 1 :] == Status.PREDICTED)
        if not len(coming):
            self.stop()
            raise UserError("That was the last one: all nuclei of the queue have been looked at.")
        self._go(self._at + 1 + int(coming[0]))

    def previous(self) -> None:
        """Go back to the nucleus before, unless it was removed.

        Raises:
            UserError: There is none.
        """
        there = np.flatnonzero(self._statuses()[: max(self._at, 0)] != Status.DELETED)
        if not len(there):
            raise UserError("There is no nucleus before this one; N goes to the next.")
        self._go(int(there[-1]))

    def dealt_with(self, ids: npt.NDArray[np.int64]) -> None:
        """Go to the next nucleus if the current one was among those just edited."""
        if self.goes_on and self.current is not None and self.current in ids:
            self.next()

    @property
    def arriving(self) -> bool:
        """Whether the view is still on its way to the current nucleus."""
        return self._flight.under_way

    def land(self) -> None:
        """Jump to the current nucleus at once."""
        self._flight.land()

    def _rows_of(self, choice: QueueChoice) -> NucleusRows:
        """Chosen nuclei that nobody has looked at."""
        rows = self._session.annotations.rows
        mask = rows["status"] == Status.PREDICTED
        if choice.class_id is not None:
            mask &= rows["class_id"] == choice.class_id
        if choice.polygon is not None:
            mask &= choice.polygon.contains(rows["x"], rows["y"])
        return np.asarray(rows[mask])

    def _ordered(self, choice: QueueChoice, rows: NucleusRows) -> npt.NDArray[np.int64]:
        if choice.kind != TEACHES:
            order = review_order(choice.kind, rows[choice.kind], rows["score"])
            ids: npt.NDArray[np.int64] = rows["id"][order]
            return ids
        wanted = self.teaches()
        found = wanted[np.isin(wanted, rows["id"])]
        if not len(found):
            raise UserError("There is no nucleus here that would teach anything.")
        return found

    def _go(self, at: int) -> None:
        self._at = at
        number = int(self._order[at])
        row = self._session.annotations.rows[self._session.annotations.index_of([number])[0]]
        session = self._session
        self._flight.to(float(row["x"]), float(row["y"]), session.placement, session.mpp)
        session.activate_nuclei()
        session.nuclei.uncover([number])
        session.nuclei.select([number])
        self.changed.emit()

    def _statuses(self) -> npt.NDArray[np.uint8]:
        """(N,) statuses of the nuclei of the order; those that are gone count as removed.

        Their rows are looked up once: for a million nuclei that takes longer than a key may.
        """
        annotations, order = self._session.annotations, self._order
        rows, ids = self._rows, annotations.ids
        if rows is None or rows.order is not order or rows.ids is not ids:
            rows = self._rows = _Rows(order, ids, *annotations.find(order))
        statuses = np.full(len(order), Status.DELETED, dtype=np.uint8)
        statuses[rows.there] = annotations.status[rows.at]
        return statuses
