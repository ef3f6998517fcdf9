"""Count the features that were left out in reading a file, with sentences for the user."""

from __future__ import annotations

from collections import Counter

_WHY = {
    "tile": "tiles were left out",
    "tmacore": "TMA cores were left out",
    "line": "lines were left out",
    "place": "objects without a place were left out",
    "far": "objects farther out than any slide reaches were left out",
    "flat": "regions without an area were left out",
    "shape": "objects of an unknown kind of geometry were left out",
    "name": "objects with an unreadable or endless name were left out",
    "deep": "objects under too many others were left out",
    "odd": "features that are not as GeoJSON has them were left out",
    "part": "points and lines beside the areas of an object were left out",
    "hole": "holes of regions were filled",
}
_FAULTS = frozenset({"far", "flat", "shape", "name", "deep", "odd"})


class LeftOut:
    """Counts what was left out, by reason, and remembers where the first of each stands."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def add(self, reason: str, index: int, count: int = 1) -> None:
        """Count something.

        Args:
            reason: A key of the sentences above.
            index: Of its feature in the file, from 0.
            count: How many.
        """
        if count:
            self._counts[reason] += count
            self._first[reason] = min(index, self._first.get(reason, index))

    @property
    def faulty(self) -> bool:
        """Whether something was left out that the file should not have held."""
        return not _FAULTS.isdisjoint(self._counts)

    def notes(self) -> list[str]:
        """A sentence for each reason, which names the first by its index."""
        return [
            f"{self._counts[key]:,} {what} (first: features[{self._first[key]}])."
            for key, what in _WHY.items()
            if self._counts[key]
        ]
