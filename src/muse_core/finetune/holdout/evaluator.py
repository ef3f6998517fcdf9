"""Selection and measurement on holdout fields, on separate ones if there are enough.

Figures on the fields that the threshold and the best step were chosen on are too optimistic, and
the choice of a step favours the new model over the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from muse_core.evaluate.figures import FiguresWithIntervals
from muse_core.evaluate.intervals import figures_with_intervals
from muse_core.finetune.data.fields import Field
from muse_core.finetune.holdout.fields import HoldoutFields, renamed
from muse_core.finetune.holdout.threshold import OperatingPoint
from muse_core.finetune.result import ValidationFigures
from muse_core.models.card import ModelCard
from muse_core.nuclei import ClassScheme

ENOUGH_TO_PART = 4
"""From this number of holdout fields on, they are divided into two groups."""
SAME_FIELDS_NOTE = (
    "Best step and score threshold were chosen on the same fields that the figures are measured"
    f" on, so the figures are slightly too good. From {ENOUGH_TO_PART} holdout fields on, half of"
    " them are used to choose and the other half to measure."
)

Detect = Callable[[HoldoutFields], Sequence[pd.DataFrame]]
"""Gives the NucleusTable of each field at ``LOWEST_SCORE``, pixels of the field."""


class HoldoutFigures(FiguresWithIntervals):
    """Figures of a model at a threshold, and which fields that was chosen on."""

    threshold: float
    chosen_on: Literal["other fields", "the same fields"]


@dataclass(frozen=True)
class HoldoutScore:
    """Score threshold and figures of a model on the holdout.

    Attributes:
        chosen: A good threshold, with the figures on the fields that it was chosen on.
        figures: Figures with intervals at that threshold, if possible on fields that nothing was
            chosen on; "chosen_on" tells.
    """

    chosen: OperatingPoint
    figures: HoldoutFigures


class Holdout:
    """Holdout fields, divided into those for selection and those for measurement."""

    def __init__(self, fields: Sequence[Field]) -> None:
        """Assign fields to the two groups alternately; cells of one field stay together.

        Args:
            fields: Of each slide the oldest first, so that a field that comes later changes nothing
                for those before it.
        """
        keys = list(dict.fromkeys(field.key for field in fields))
        self.apart = len(keys) >= ENOUGH_TO_PART
        if self.apart:
            choose = set(keys[::2])
            self.choosing = HoldoutFields([f for f in fields if f.key in choose])
            self.reporting = HoldoutFields([f for f in fields if f.key not in choose])
        else:
            self.choosing = self.reporting = HoldoutFields(fields)

    def __bool__(self) -> bool:
        return bool(self.choosing.fields)

    def score(self, card: ModelCard, detect: Detect, names: Mapping[str, str]) -> HoldoutScore:
        """Measure a model at its own best threshold, so that old and new model are treated alike.

        Args:
            card: Of the model.
            detect: What it detects.
            names: Class of the model to class of the fields, where both mean the same.
        """
        own = ClassScheme.from_json(card.classes).names
        known = tuple(names.get(n, n) for n in own)
        tables = renamed(detect(self.choosing), names)
        chosen = self.choosing.best(tables, known, card.score_threshold)
        report = chosen.report
        if self.apart:
            others = renamed(detect(self.reporting), names)
            report = self.reporting.at(chosen.threshold, others, known)
        figures: HoldoutFigures = {
            **figures_with_intervals(report),
            "threshold": chosen.threshold,
            "chosen_on": "other fields" if self.apart else "the same fields",
        }
        return HoldoutScore(chosen, figures)


def for_curves(chosen: OperatingPoint) -> ValidationFigures:
    """Return the figures that a curve shows."""
    report = chosen.report
    return {
        "f_det": report.f_det,
        "f_avg": report.f_avg,
        "f_class": report.f_class,
        "threshold": chosen.threshold,
    }
