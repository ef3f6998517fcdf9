"""Reviewed fields of a store, and whether their nuclei are enough to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted_nuclei
from muse_core.nuclei.holdout import field_key
from muse_core.nuclei.outlines import merged_areas, outline_area
from muse_core.nuclei.store import AnnotationStore
from muse_core.nuclei.table import CORRECTIONS, Status

MIN_NUCLEI = 10
"""Fewest nuclei of each class that occurs; with fewer, training is refused."""


@dataclass(frozen=True, eq=False)
class ReviewedField:
    """Tissue in which a person has looked at every nucleus.

    Attributes:
        key: Identifies the field in every later run.
        area: Polygon or several, level-0 pixels.
        nuclei: NucleusTable of those inside; rows with status "deleted" are rejected detections.
        holdout: Whether it is kept out of training.
    """

    key: str
    area: BaseGeometry
    nuclei: pd.DataFrame
    holdout: bool


@dataclass(frozen=True)
class AnnotationSummary:
    """Counts of what a training on reviewed fields would use.

    Attributes:
        n_corrected_by_class: Nuclei that a person has added or changed, by their class now.
        n_by_class: All nuclei in reviewed fields, by class.
        n_removed: Detections that a person has removed in them.
        reviewed_mm2: Area of the fields.
        n_fields: Fields; reviewed regions that overlap are one.
        n_holdout: Fields that are kept for validation.
        problems: Sentences that say why it is too little; empty when it is enough.
    """

    n_corrected_by_class: dict[str, int]
    n_by_class: dict[str, int]
    n_removed: int
    reviewed_mm2: float
    n_fields: int
    n_holdout: int
    problems: tuple[str, ...]

    @property
    def unused_classes(self) -> tuple[str, ...]:
        """Classes without a nucleus, of which nothing is learnt and which no figure counts."""
        return tuple(name for name, n in self.n_by_class.items() if n == 0)


def annotation_summary(store: AnnotationStore, mpp: float) -> AnnotationSummary:
    """Summarise what a training on a store would use; loads no torch.

    Args:
        store: Open store.
        mpp: Microns per level-0 pixel of its slide.
    """
    fields = reviewed_fields(store)
    summary = summarise([(fields, mpp)], store.classes.names)
    # Here this store is all there is to learn from; a training may have others.
    if not summary.problems and all(field.holdout for field in fields):
        sentence = (
            "All reviewed fields are in the holdout, which measures models and is not trained on:"
            " review another field to learn from."
        )
        return replace(summary, problems=(sentence,))
    return summary


def summarise(
    groups: Sequence[tuple[Sequence[ReviewedField], float]], class_names: Sequence[str]
) -> AnnotationSummary:
    """Summarise what a training on fields of several slides would use.

    Args:
        groups: For each slide its fields and its microns per level-0 pixel.
        class_names: Classes that are to be learnt.
    """
    fields = [field for group, _ in groups for field in group]
    tables = [field.nuclei for field in fields]
    nuclei = pd.concat(tables) if tables else pd.DataFrame({"class_name": [], "status": []})
    present = nuclei[nuclei["status"] != Status.DELETED.word]
    n_by_class = _counts(present["class_name"], class_names)
    return AnnotationSummary(
        n_corrected_by_class=_counts(
            present["class_name"][present["status"].isin(CORRECTIONS)], class_names
        ),
        n_by_class=n_by_class,
        n_removed=len(nuclei) - len(present),
        reviewed_mm2=sum(f.area.area * mpp**2 for group, mpp in groups for f in group) / 1e6,
        n_fields=len(fields),
        n_holdout=sum(field.holdout for field in fields),
        problems=_problems(fields, n_by_class),
    )


def reviewed_fields(store: AnnotationStore) -> tuple[ReviewedField, ...]:
    """The reviewed fields of a store, oldest first.

    Reviewed regions that overlap or touch are one field. Its key is that of its oldest region, so
    that it stays the same when a region is added, and it is for training if one of them is.

    Raises:
        UserError: The store is damaged.
    """
    regions = store.regions()
    regions = regions[regions["reviewed"].astype(bool)].sort_values("id")
    outlines = [
        (number, vertices, area)
        for number, vertices in zip(regions["id"], regions["vertices"], strict=True)
        if (area := outline_area(vertices)) is not None
    ]
    in_holdout, fingerprint = store.holdout_by_region(), store.slide.fingerprint
    if any(number not in in_holdout for number, _, _ in outlines):
        raise UserError(
            f"{store.path.name} is damaged: of a reviewed region it does not say whether it trains."
        )
    return tuple(
        ReviewedField(
            field_key(fingerprint, outlines[members[0]][1]),
            area,
            _nuclei_in(store, area),
            all(in_holdout[outlines[member][0]] for member in members),
        )
        for members, area in merged_areas([area for _, _, area in outlines])
    )


def _nuclei_in(store: AnnotationStore, area: BaseGeometry) -> pd.DataFrame:
    x0, y0, x1, y1 = map(float, area.bounds)
    table = store.nuclei((x0, y0, x1, y1), with_deleted=True)
    inside = shapely.contains_xy(area, table["x"].to_numpy(), table["y"].to_numpy())
    return table[inside].reset_index(drop=True)


def _counts(names: pd.Series, class_names: Sequence[str]) -> dict[str, int]:
    found = names.value_counts()
    return {name: int(found.get(name, 0)) for name in class_names}


def _problems(fields: Sequence[ReviewedField], n_by_class: dict[str, int]) -> tuple[str, ...]:
    if not fields:
        return ("Nothing is reviewed yet: outline a field and mark it as reviewed.",)
    if not any(n_by_class.values()):
        return ("There is no nucleus in the reviewed fields: review one that has some.",)
    few = [
        f"Only {counted_nuclei(n)} of the class {name!r} {'lies' if n == 1 else 'lie'}"
        f" in reviewed fields; at least {MIN_NUCLEI} are needed. Review another field, or merge the"
        " class with another one."
        for name, n in n_by_class.items()
        if 0 < n < MIN_NUCLEI
    ]
    return tuple(few)


def require_enough(summary: AnnotationSummary) -> None:
    """Raises UserError with the first problem, if there is one."""
    if summary.problems:
        raise UserError(summary.problems[0])
