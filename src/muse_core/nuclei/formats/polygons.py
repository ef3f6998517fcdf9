"""Centres of nuclei that other programs have written as outlines."""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

_NO_OUTLINE = (TypeError, ValueError, IndexError, KeyError, OverflowError, AttributeError)


def centres(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Area-weighted centres of N geometries of any kind.

    The centroid of an outline that crosses itself can lie far outside; then the centre of the
    bounding box is returned instead.

    Args:
        geometries: Shapely geometries, shape (N,); None and empty ones are allowed.

    Returns:
        (N, 2) x and y; NaN for a geometry without a place.
    """
    geometries = geometries.copy()
    geometries[shapely.is_empty(geometries)] = None
    with np.errstate(invalid="ignore", over="ignore"):
        xy = _centroids(geometries)
    bounds = shapely.bounds(geometries)
    with np.errstate(invalid="ignore"):
        # One in a million of the coordinate covers how the centre of a thin outline is rounded.
        slack = 1e-6 * (1 + np.abs(bounds).max(axis=1, keepdims=True))
        outside = (xy < bounds[:, :2] - slack) | (xy > bounds[:, 2:] + slack)
    wrong = (outside | ~np.isfinite(xy)).any(axis=1)
    xy[wrong] = (bounds[wrong, :2] + bounds[wrong, 2:]) / 2
    return xy


def _centroids(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """(N, 2) centroids; NaN for a geometry that has none, as one with an empty point in it."""
    try:
        return _coordinates(shapely.centroid(geometries))
    except shapely.errors.GEOSException:
        pass
    # One geometry must not lose the others.
    found = np.full((len(geometries), 2), np.nan)
    for i, geometry in enumerate(geometries):
        with contextlib.suppress(shapely.errors.GEOSException):
            found[i] = _coordinates(shapely.centroid(geometry))
    return found


def _coordinates(points: Any) -> npt.NDArray[np.float64]:
    return np.stack([shapely.get_x(points), shapely.get_y(points)], axis=-1)


def polygon_centres(parts: list[list[Any]], owners: list[int], n: int) -> npt.NDArray[np.float64]:
    """Area-weighted centres of N outlines given as GeoJSON coordinates.

    Args:
        parts: Polygons, each a list of rings, the first the shell, the others holes.
        owners: For each polygon which of the N it belongs to, ascending.
        n: N.

    Returns:
        (N, 2) x and y; NaN for one without polygons.

    Raises:
        TypeError: The coordinates are not nested as those of polygons.
        ValueError: The same.
    """
    rings: list[list[Any]] = []
    ring_polygon: list[int] = []
    polygon_owner: list[int] = []
    for polygon, owner in zip(parts, owners, strict=True):
        kept = [_ring(r) for r in polygon if r]
        if kept:
            ring_polygon += [len(polygon_owner)] * len(kept)
            polygon_owner.append(owner)
            rings += kept
    result = np.empty(n, dtype=object)
    if rings:
        lengths = np.fromiter(map(len, rings), np.intp, len(rings))
        flat = np.array([p for ring in rings for p in ring], dtype=np.float64)
        try:
            linear = shapely.linearrings(flat, indices=np.repeat(np.arange(len(rings)), lengths))
        except shapely.errors.ShapelyError as error:
            raise ValueError(f"no outline: {error}") from error
        polygons = shapely.polygons(linear, indices=np.asarray(ring_polygon, np.intp))
        owned = np.asarray(polygon_owner, np.intp)
        single = np.bincount(owned, minlength=n)[owned] == 1
        result[owned[single]] = polygons[single]
        if not single.all():
            several, places = np.unique(owned[~single], return_inverse=True)
            result[several] = shapely.multipolygons(polygons[~single], indices=places)
    return centres(result)


def readable_centres(
    parts: list[list[Any]], owners: list[int], n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Like :func:`polygon_centres`, but tolerates entries that are not outlines.

    Returns:
        (N, 2) x and y, NaN for one without a place; and (N,) which are no outlines.
    """
    xy, odd = np.full((n, 2), np.nan), np.zeros(n, dtype=bool)
    spans = [(0, len(parts))]
    while spans:
        start, end = spans.pop()
        own = owners[start:end]
        if not own:
            continue
        low = own[0]
        try:
            one = own[0] == own[-1]
            some = _flattened(parts[start:end]) if one else parts[start:end]
            size = own[-1] - low + 1
            found = polygon_centres(some, [owner - low for owner in own], size)
            # Rows between them that have no polygons stay NaN.
            xy[low : low + size] = found
        except _NO_OUTLINE:
            if one:
                odd[low] = True
                continue
            # Tried again in halves, until only those fail that are no outlines.
            middle = bisect_left(own, own[len(own) // 2])
            middle = middle or bisect_right(own, low)
            spans += [(start, start + middle), (start + middle, end)]
    return xy, odd


def _flattened(polygons: list[Any]) -> list[Any]:
    """Polygons without z, which may be there for some corners alone."""
    return [[[p[:2] for p in ring] for ring in polygon] for polygon in polygons]


def _ring(ring: list[Any]) -> list[Any]:
    """Return a ring without z and long enough for shapely."""
    if len(ring[0]) != 2:
        ring = [p[:2] for p in ring]
    return ring if len(ring) > 2 else [ring[0], ring[-1], ring[0]]
