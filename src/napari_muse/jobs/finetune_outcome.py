"""Describe the data and the outcome of a fine-tuning run, for the panel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse_core.nuclei.reviewed import AnnotationSummary

_JUDGED_BY = (("f_det", "all nuclei"), ("f_avg", "the mean of classes"))


@dataclass(frozen=True)
class FinetuneOutcome:
    """Outcome of a fine-tuning run as the panel shows it.

    Attributes:
        model: The new model's file, or None if it was cancelled too early to have one.
        before: Figures of the old model on the holdout fields, None where there are none.
        after: Figures of the new one.
        notes: Sentences for the user.
    """

    model: Path | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    notes: tuple[str, ...]

    @property
    def fell(self) -> tuple[tuple[str, float, float], ...]:
        """Return the holdout figures that became worse: name, before and after, as shown."""
        if self.before is None or self.after is None:
            return ()
        found = []
        for key, name in _JUDGED_BY:
            before, after = self.before.get(key), self.after.get(key)
            if before is not None and after is not None and round(after, 2) < round(before, 2):
                found.append((name, float(before), float(after)))
        return tuple(found)

    @property
    def proof(self) -> list[tuple[str, str, str]]:
        """Name, before and after of each figure with its interval, as a table shows them."""
        before, after = self.before, self.after
        if before is None or after is None:
            return []
        names = {"all nuclei": ("f_det",), "mean of classes": ("f_avg",)}
        names |= {name: ("f_class", name) for name in after.get("f_class") or {}}
        return [(name, _figure(before, *key), _figure(after, *key)) for name, key in names.items()]

    def sentences(self, message: str) -> str:
        """Return how a run ended, with the name of the model's file alone.

        Args:
            message: The last message of the run.
        """
        if self.model is not None:
            message = message.replace(str(self.model), self.model.name)
        return " ".join(filter(None, (self.verdict, message, *self.notes)))

    @property
    def verdict(self) -> str:
        """A sentence about whether the new model is better."""
        if self.before is None or self.after is None:
            return (
                "There was no holdout field, so that nothing says whether the new model is better."
            )
        if not self.fell:
            return ""
        figures = " and ".join(f"F1 of {name} from {b:.2f} to {a:.2f}" for name, b, a in self.fell)
        return (
            f"On the holdout fields the new model is worse: {figures}. Keep the old one, unless"
            " you know why."
        )


def uses_text(summary: AnnotationSummary | None, tissue_mm2: float | None) -> str:
    """Describe the data that a run would use.

    Args:
        summary: Counts of the reviewed fields; None while there are none.
        tissue_mm2: Tissue of the whole slide where what is not reviewed takes part, else None.
    """
    if summary is None:
        return (
            "Correct the nuclei of a field until all in view are right, then press R. Two fields or"
            " more let you see what training brings."
        )
    parts = [
        f"{name}: {n:,} ({summary.n_corrected_by_class[name]:,} corrected)"
        for name, n in summary.n_by_class.items()
    ]
    other = ""
    if tissue_mm2 is not None:
        # At most: near holdout fields, and where there is little of it, none takes part.
        rest = max(tissue_mm2 - summary.reviewed_mm2, 0)
        other = f"; with them, up to {rest:.2g} mm² of the slide's other tissue"
    fields = "field" if summary.n_fields == 1 else "fields"
    return (
        f"{summary.n_fields} {fields} reviewed, {summary.n_holdout} in the holdout to judge by;"
        f" {summary.reviewed_mm2:.2g} mm² reviewed{other}.\n{', '.join(parts)};"
        f" {summary.n_removed:,} removed."
    )


def _figure(figures: dict[str, Any], *key: str) -> str:
    value, interval = _found(figures, key), _found(figures.get("interval_95"), key)
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _found(figures: Any, key: tuple[str, ...]) -> Any:
    for name in key:
        figures = (figures or {}).get(name)
    return figures
