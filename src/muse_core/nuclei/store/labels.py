"""Labels of edits, as they follow "Undone: " in the window."""

from __future__ import annotations

from muse_core.nuclei.counted import counted, counted_nuclei
from muse_core.nuclei.named import named


def of_nuclei(what: str, number: int, class_name: str = "") -> str:
    """Such as "class of 3 nuclei (tumor)"."""
    label = f"{what} of {counted_nuclei(number)}"
    return f"{label} ({class_name})" if class_name else label


def new_nuclei(number: int, class_name: str) -> str:
    """Such as "3 new nuclei (tumor)"."""
    label = counted(number, "new nucleus", "new nuclei")
    return f"{label} ({class_name})" if class_name else label


def new_regions(names: list[str]) -> str:
    """Such as "new region field 1"."""
    return _of_region("new", names[0]) if len(names) == 1 else f"{len(names):,} new regions"


def changed_region(before: tuple[str, int], after: tuple[str, int]) -> str:
    """Such as "review of region field 1", from name and review before and after."""
    if before[1] == after[1]:
        return _of_region("name of", after[0])
    return _of_region("review of" if after[1] else "review withdrawn from", after[0])


def removed_region(name: str) -> str:
    """Such as "removal of region field 1"."""
    return _of_region("removal of", name)


def new_class(name: str) -> str:
    """Such as "new class tumor"."""
    return f"new {named('class', name)}"


def changed_classes(names: list[str]) -> str:
    """Such as "change of class tumor"."""
    if len(names) == 1:
        return f"change of {named('class', names[0])}"
    return f"change of classes {' and '.join(names)}"


def merged_classes(gone: str, into: str, number: int) -> str:
    """Such as "merge of class a into b (3 nuclei)"."""
    return f"merge of {named('class', gone)} into {into} ({counted_nuclei(number)})"


def relearning(number: int) -> str:
    """Such as "relearning of 3 nuclei"."""
    return of_nuclei("relearning", number)


def without_relearning() -> str:
    """Return the label of going back to the classes that were detected."""
    return "return to the classes that were detected"


def takeover(n_nuclei: int, n_regions: int) -> str:
    """Such as "import of 3 nuclei and 1 region"."""
    label = of_nuclei("import", n_nuclei)
    if not n_regions:
        return label
    regions = counted(n_regions, "region", "regions")
    return f"{label} and {regions}" if n_nuclei else f"import of {regions}"


def _of_region(what: str, name: str) -> str:
    return f"{what} {named('region', name)}" if name else f"{what} region"
