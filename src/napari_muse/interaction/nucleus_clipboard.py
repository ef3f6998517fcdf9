"""Copy and paste nuclei through the store; napari's own points would bypass it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted_nuclei

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


@dataclass(frozen=True)
class _Copied:
    """Places, (N, 2) level-0 pixels of a slide of this MPP, and classes of nuclei."""

    xy: npt.NDArray[np.float64]
    class_names: tuple[str, ...]
    mpp: float | None


class NucleusClipboard:
    """Clipboard of nuclei of a window, which goes from slide to slide."""

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._copied: _Copied | None = None

    def copy(self) -> bool:
        """Copy the selected nuclei; returns whether there are any."""
        session = self._session
        # An undo may have taken some away a moment ago.
        rows = session.annotations.rows_of(session.nuclei.selected_ids)
        if not len(rows):
            return False
        names = np.array(session.annotations.scheme.names, dtype=object)
        self._copied = _Copied(
            np.stack([rows["x"], rows["y"]], axis=1),
            tuple(names[session.annotations.class_index(rows)].tolist()),
            session.mpp,
        )
        session.told.emit(f"{counted_nuclei(len(rows))} copied.")
        return True

    def paste(self) -> None:
        """Add the copied nuclei at the same positions in microns, as one edit.

        Raises:
            UserError: Nothing was copied, the slide lacks a class, all would lie outside the slide
                or on existing nuclei, or the store cannot be written.
        """
        session, copied = self._session, self._copied
        if copied is None:
            raise UserError("Copy some nuclei first: select them and press Ctrl-C.")
        bounds = session.require_slide().bounds
        scale = copied.mpp / session.mpp if copied.mpp and session.mpp else 1.0
        xy = copied.xy * scale
        on_slide = bounds.contains(xy[:, 0], xy[:, 1])
        if not on_slide.any():
            raise UserError("All that was copied would lie beside this slide.")
        scheme, ids = session.annotations.scheme, session.annotations.class_ids
        known = {name: ids[scheme.index(name)] for name in dict.fromkeys(copied.class_names)}
        chosen = np.array([known[name] for name in copied.class_names])[on_slide]
        added = session.annotations.add_many(xy[on_slide, 0], xy[on_slide, 1], chosen)
        session.nuclei.uncover(added)
        session.nuclei.refresh()
        session.nuclei.select(added)
        left_out = len(xy) - len(added)
        sentence = f"{counted_nuclei(len(added))} pasted."
        if left_out:
            sentence += f" {left_out:,} were left out, which are there already or beside the slide."
        session.told.emit(sentence)
