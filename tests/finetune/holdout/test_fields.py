from __future__ import annotations

import numpy as np
import pytest

from muse_core.data.points_folder import AnnotatedImage
from muse_core.evaluate.detection import score_tables
from muse_core.evaluate.intervals import figures_with_intervals
from muse_core.finetune.data.fields import Field
from muse_core.finetune.holdout.fields import HoldoutFields, renamed
from muse_core.finetune.holdout.threshold import best_threshold
from muse_core.nuclei import nucleus_table


def field() -> Field:
    known = np.zeros((100, 100), dtype=bool)
    known[20:80, 20:80] = True
    points = np.array([[30, 30], [50, 50]], dtype=np.float32)
    return Field(
        key="k",
        image=np.zeros((100, 100, 3), dtype=np.uint8),
        mpp=0.5,
        known=known,
        xy=points,
        class_names=("a", "a"),
        weights=np.ones(2, dtype=np.float32),
        ignored_xy=np.array([[19, 40]], dtype=np.float32),
        rejected_xy=np.zeros((0, 2), dtype=np.float32),
        holdout_mask=np.zeros((100, 100), dtype=bool),
        holdout=True,
    )


def test_what_lies_outside_or_on_the_border_counts_for_nothing() -> None:
    # Right; of the ignored nucleus although inside; outside; wrong; right although just outside.
    x = [30.5, 21.0, 90.0, 60.0, 50.0]
    y = [30.0, 40.0, 90.0, 70.0, 51.0]
    table = nucleus_table(x, y, ["a", "a", "a", "a", "b"], score=0.9)
    report = HoldoutFields([field()]).best([table], ["a", "b"], 0.5).report
    counts = report.detection
    assert (counts.true_positive, counts.false_positive, counts.false_negative) == (2, 1, 0)
    # "b" does not occur, so it has no figure.
    assert report.class_names == ("a",)
    assert report.f_avg == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))


def test_other_names_are_put_in() -> None:
    table = nucleus_table([1.0, 2.0], [1.0, 2.0], ["x", "y"])
    assert renamed([table], {"x": "a"})[0]["class_name"].tolist() == ["a", "y"]


def test_of_thresholds_about_as_good_the_nearest_is_taken() -> None:
    image = AnnotatedImage(
        "i",
        np.zeros((50, 50, 3), dtype=np.uint8),
        np.array([[10, 10], [30, 30]], dtype=np.float32),
        ("a", "a"),
        0.5,
    )
    table = nucleus_table([10, 30, 45], [10, 30, 5], "a", score=[0.9, 0.65, 0.3])
    assert best_threshold([image], [table], ["a"], near=0.4).threshold == pytest.approx(0.4)
    assert best_threshold([image], [table], ["a"], near=0.2).threshold == pytest.approx(0.325)
    assert best_threshold([image], [table], ["a"], near=0.7).threshold == pytest.approx(0.65)


def test_few_fields_have_intervals_over_nuclei() -> None:
    points = np.stack([np.arange(50) * 10.0 + 5, np.full(50, 5.0)], axis=1).astype(np.float32)
    image = AnnotatedImage("i", np.zeros((10, 500, 3), np.uint8), points, ("a",) * 50, 0.5)
    table = nucleus_table(points[:40, 0], points[:40, 1], "a")
    figures = figures_with_intervals(score_tables([image], [table], ["a"]))
    assert figures["interval_over"] == "nuclei"
    interval = figures["interval_95"]["f_det"]
    assert interval is not None
    low, high = interval
    # 40 of 50 nuclei are found: recall has a standard error of sqrt(0.8 * 0.2 / 50) = 0.057.
    assert low < figures["f_det"] < high
    assert 0.08 < high - low < 0.25
    many = figures_with_intervals(score_tables([image] * 5, [table] * 5, ["a"]))
    assert many["interval_over"] == "images"
    assert many["interval_95"]["f_det"] == pytest.approx([figures["f_det"]] * 2)
