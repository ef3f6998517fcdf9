"""Find the detections that lie where a person has already reviewed or edited nuclei."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from shapely import box

from muse_core.array_types import Mask
from muse_core.nuclei import Status
from muse_core.nuclei.outlines import inside_any
from muse_core.nuclei.store import AnnotationStore
from muse_core.slides import Region
from napari_muse.annotations.file_takeover import near
from napari_muse.annotations.nucleus_arrays import NucleusArrays

_NO_MODEL = ""


def where_looked(
    xy: npt.NDArray[np.float64], distance_px: float, slide: NucleusArrays, store: AnnotationStore
) -> Mask:
    """Return (n,) which detections lie where a person has looked.

    That is in a reviewed region, or at a nucleus that a person has edited or that lies in a
    reviewed region.

    Args:
        xy: (n, 2) level-0 pixels.
        distance_px: Distance up to which two nuclei are the same.
        slide: The existing nuclei.
        store: Their store.
    """
    if not len(xy):
        return np.zeros(0, dtype=bool)
    margin = distance_px + 1.0
    (x0, y0), (x1, y1) = xy.min(axis=0) - margin, xy.max(axis=0) + margin
    around = slide.rows[slide.inside(Region(x0, y0, x1 - x0, y1 - y0))]
    view = box(x0, y0, x1, y1)
    reviewed = [area for area in store.reviewed_areas() if area.intersects(view)]
    # A prediction that a person has removed stays removed. To remove what a person had added says
    # nothing about the place.
    taken_back = around["status"] == Status.DELETED
    taken_back &= around["model_id"] == store.model_number(_NO_MODEL)
    persons = (around["status"] != Status.PREDICTED) & ~taken_back
    persons |= inside_any(reviewed, around["x"], around["y"])
    in_reviewed = inside_any(reviewed, xy[:, 0], xy[:, 1])
    # Older nuclei that are still there lie beyond the edge of the searched area.
    first = store.first_found
    beyond = np.zeros(len(around), dtype=bool) if first is None else around["id"] < first
    beyond &= around["status"] != Status.DELETED
    return in_reviewed | near(xy, around[persons | beyond], distance_px)
