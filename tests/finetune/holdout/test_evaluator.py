from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.finetune import FinetuneConfig, LabelSet, Listener, finetune
from muse_core.finetune.config import AdaptConfig
from muse_core.finetune.data.fields import Field
from muse_core.finetune.holdout.evaluator import Holdout, for_curves
from muse_core.finetune.holdout.fields import HoldoutFields
from muse_core.finetune.result import ValidationFigures
from muse_core.models.card import ModelCard, read_card
from muse_core.nuclei import ClassScheme, nucleus_table

from ...job_inputs import write_model, write_points_folder

CARD = ModelCard("m", {}, 0.5, 256, ClassScheme.from_names(["x"]).to_json(), 0.5)


def field(key: str) -> Field:
    """A field of 100 px with nuclei at (20, 20) and (60, 60)."""
    nowhere = np.zeros((0, 2), dtype=np.float32)
    return Field(
        key=key,
        image=np.zeros((100, 100, 3), dtype=np.uint8),
        mpp=0.5,
        known=np.ones((100, 100), dtype=bool),
        xy=np.array([[20, 20], [60, 60]], dtype=np.float32),
        class_names=("a", "a"),
        weights=np.ones(2, dtype=np.float32),
        ignored_xy=nowhere,
        rejected_xy=nowhere,
        holdout_mask=np.zeros((100, 100), dtype=bool),
        holdout=True,
    )


@given(st.lists(st.integers(0, 9), max_size=20))
def test_each_field_chooses_or_judges_and_a_later_one_changes_nothing(numbers: list[int]) -> None:
    fields = [field(str(n)) for n in numbers]
    holdout = Holdout(fields)
    choosing = {f.key for f in holdout.choosing.fields}
    reporting = {f.key for f in holdout.reporting.fields}
    assert bool(holdout) == bool(fields)
    assert holdout.apart == (len(set(numbers)) >= 4)
    if not holdout.apart:
        assert len(holdout.choosing.fields) == len(holdout.reporting.fields) == len(fields)
        return
    assert not choosing & reporting
    assert len(holdout.choosing.fields) + len(holdout.reporting.fields) == len(fields)
    assert len(choosing) - len(reporting) in (0, 1)
    later = Holdout([*fields, field("later")])
    assert choosing <= {f.key for f in later.choosing.fields}
    assert reporting <= {f.key for f in later.reporting.fields}


def detections(fields: HoldoutFields) -> Sequence[pd.DataFrame]:
    """In fields with even keys a threshold of 0.6 is best, elsewhere the lowest."""
    tables = []
    for number in (int(f.key) for f in fields.fields):
        low = [60.0, 60.0] if number % 2 else [90.0, 10.0]
        x, y = [20.0, low[0], 90.0], [20.0, low[1], 80.0]
        tables.append(nucleus_table(x, y, "x", score=[0.9, 0.5, 0.5 if number % 2 == 0 else 0.3]))
    return tables


def test_figures_are_of_the_others_at_the_threshold_that_was_chosen() -> None:
    holdout = Holdout([field(str(n)) for n in range(4)])
    card = dataclasses.replace(CARD, score_threshold=0.6)
    scored = holdout.score(card, detections, {"x": "a"})
    assert scored.chosen.threshold == pytest.approx(0.6)
    # One of two nuclei is found, and nothing else: 2 * 1 / (2 * 1 + 0 + 1), in both halves.
    assert for_curves(scored.chosen)["f_det"] == pytest.approx(2 / 3)
    assert scored.figures["f_det"] == pytest.approx(2 / 3)
    assert (scored.figures["n_images"], scored.figures["chosen_on"]) == (2, "other fields")
    # The other half would have chosen a lower one: both found, and a false one at the lowest.
    own = Holdout([field("1"), field("3")]).score(card, detections, {"x": "a"})
    assert own.figures["f_det"] == pytest.approx(1.0)
    assert own.figures["chosen_on"] == "the same fields"
    assert own.figures["threshold"] == own.chosen.threshold < 0.6


def test_with_few_fields_the_figures_are_those_of_the_choice() -> None:
    scored = Holdout([field("0"), field("1"), field("2")]).score(CARD, detections, {"x": "a"})
    curve = for_curves(scored.chosen)
    figures: dict[str, Any] = {**scored.figures}
    assert {k: figures[k] for k in curve} == curve
    assert scored.figures["n_images"] == 3


def run(folder: Path, n_val: int) -> tuple[FinetuneConfig, Any, list[ValidationFigures]]:
    config = FinetuneConfig(
        train=(LabelSet(write_points_folder(folder / "train"), 0.5),),
        val=LabelSet(write_points_folder(folder / "val", n_images=n_val), 0.5),
        out=folder / "out.safetensors",
        base=write_model(folder / "base.safetensors"),
        mode="adapt",
        steps=4,
        validate_every=2,
        device="cpu",
        adapt=AdaptConfig(most_views=1, margin_px=0),
    )
    seen: list[ValidationFigures] = []
    return config, finetune(config, Listener(on_metrics=seen.append)), seen


def test_a_run_reports_on_fields_that_chose_nothing(tmp_path: Path) -> None:
    config, result, seen = run(tmp_path, n_val=5)
    for figures in (result.before, result.after):
        assert (figures["n_images"], figures["chosen_on"]) == (2, "other fields")
    assert result.metrics["n_images"] == 3
    assert [m["step"] for m in seen] == [0, 2, 4]
    assert result.notes == ()
    assert read_card(config.out).metrics["after"] == result.after


def test_a_run_says_when_there_were_too_few(tmp_path: Path) -> None:
    _, result, _ = run(tmp_path, n_val=2)
    assert result.after["chosen_on"] == "the same fields"
    (note,) = result.notes
    assert "chosen on the same fields that the figures are measured on" in note
