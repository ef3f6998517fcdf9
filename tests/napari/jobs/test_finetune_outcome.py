"""Messages about the data and result of a training; no window is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muse_core.nuclei.reviewed import AnnotationSummary
from napari_muse.jobs.finetune_outcome import FinetuneOutcome, uses_text

BEFORE: dict[str, Any] = {"f_det": 0.7, "f_avg": 0.5, "f_class": {"tumor": 0.6, "rare": None}}
AFTER: dict[str, Any] = {
    "f_det": 0.756,
    "f_avg": 0.494,
    "f_class": {"tumor": 0.61, "rare": None, "new": 0.25},
    "interval_95": {"f_det": [0.71, 0.8], "f_class": {"tumor": [0.5, 0.7]}},
}
SUMMARY = AnnotationSummary({"tumor": 3, "rare": 0}, {"tumor": 1200, "rare": 1}, 4, 0.25, 1, 0, ())


def test_the_proof_has_each_figure_with_its_interval() -> None:
    assert FinetuneOutcome(Path("m"), BEFORE, AFTER, ()).proof == [
        ("all nuclei", "0.70", "0.76 [0.71, 0.80]"),
        ("mean of classes", "0.50", "0.49"),
        ("tumor", "0.60", "0.61 [0.50, 0.70]"),
        ("rare", "-", "-"),
        ("new", "-", "0.25"),
    ]


def test_without_a_holdout_there_is_no_proof() -> None:
    outcome = FinetuneOutcome(Path("m"), None, None, ())
    assert outcome.proof == []
    assert outcome.verdict.startswith("There was no holdout field")


def test_a_figure_that_fell_makes_the_verdict() -> None:
    verdict = FinetuneOutcome(Path("m"), BEFORE, AFTER, ()).verdict
    assert "F1 of the mean of classes from 0.50 to 0.49" in verdict
    assert "all nuclei" not in verdict
    assert FinetuneOutcome(Path("m"), AFTER, AFTER, ()).verdict == ""


def test_what_a_run_would_use() -> None:
    assert uses_text(SUMMARY, None) == (
        "1 field reviewed, 0 in the holdout to judge by; 0.25 mm² reviewed.\n"
        "tumor: 1,200 (3 corrected), rare: 1 (0 corrected); 4 removed."
    )
    assert "with them, up to 2 mm² of the slide's other tissue" in uses_text(SUMMARY, 2.25)
    assert "up to 0 mm²" in uses_text(SUMMARY, 0.1), "fields may reach beyond the tissue"


def test_the_end_is_told_with_the_file_and_not_its_folder() -> None:
    model = Path("models") / "mine.safetensors"
    after = {"f_det": 0.8, "f_avg": 0.6}
    outcome = FinetuneOutcome(model, BEFORE, after, ("Few fields.",))
    assert outcome.sentences(f"Written to {model}.") == "Written to mine.safetensors. Few fields."
    none = FinetuneOutcome(None, None, None, ())
    assert none.sentences("Cancelled.").endswith("better. Cancelled.")
