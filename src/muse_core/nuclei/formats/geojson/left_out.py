"""Count the features that were left out in reading a file, with sentences for the user."""

from __future__ import annotations

from collections import Counter

from muse_core.nuclei.counted import counted

OBJECTS_WITHOUT_PLACE = (
    "object without a place was left out",
    "objects without a place were left out",
)
_WHY = {
    "tile": ("tile was left out", "tiles were left out"),
    "tmacore": ("TMA core was left out", "TMA cores were left out"),
    "line": ("line was left out", "lines were left out"),
    "place": OBJECTS_WITHOUT_PLACE,
    "far": (
        "object farther out than any slide reaches was left out",
        "objects farther out than any slide reaches were left out",
    ),
    "flat": ("region without an area was left out", "regions without an area were left out"),
    "shape": (
        "object of an unknown kind of geometry was left out",
        "objects of an unknown kind of geometry were left out",
    ),
    "name": (
        "object with an unreadable or endless name was left out",
        "objects with an unreadable or endless name were left out",
    ),
    "deep": (
        "object under too many others was left out",
        "objects under too many others were left out",
    ),
    "odd": (
        "feature that is not as GeoJSON has it was left out",
        "features that are not as GeoJSON has them were left out",
    ),
    "part": (
        "point or line beside the areas of an object was left out",
        "points and lines beside the areas of an object were left out",
    ),
    "hole": ("hole of a region was filled", "holes of regions were filled"),
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
            f"{counted(self._counts[key], *what)} (first: features[{self._first[key]}])."
            for key, what in _WHY.items()
            if self._counts[key]
        ]
