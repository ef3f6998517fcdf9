from __future__ import annotations

import json

import numpy as np
import pytest

from muse_core.data.points_folder import AnnotatedImage
from muse_core.evaluate.bootstrap import detailed_figures, image_weights
from muse_core.evaluate.detection import DetectionReport, score_tables
from muse_core.nuclei import nucleus_table


def _report(shift_px: list[float], classes: tuple[str, ...] = ("a", "b")) -> DetectionReport:
    """Images with an a and a b; all are found as a, ``shift_px`` from their positions."""
    pixels = np.zeros((60, 60, 3), dtype=np.uint8)
    xy = np.array([[10, 10], [40, 40]], dtype=np.float32)
    images = [AnnotatedImage(str(i), pixels, xy, ("a", "b"), 0.5) for i in range(len(shift_px))]
    tables = [nucleus_table([10 + s, 40 + s], [10, 40], "a") for s in shift_px]
    return score_tables(images, tables, classes)


def test_hand_worked_classes_and_confusion() -> None:
    # Image 1: both found, both called a. Image 2: both 10 px away, beyond the radius of 6.
    figures = detailed_figures(_report([0, 10]))
    assert figures["f_det"] == 0.5
    assert figures["per_class"] is not None
    a, b = figures["per_class"]["a"], figures["per_class"]["b"]
    assert (a["true_positive"], a["false_positive"], a["false_negative"]) == (1, 3, 1)
    assert (a["precision"], a["recall"]) == (0.25, 0.5)
    assert (b["true_positive"], b["false_positive"], b["false_negative"]) == (0, 0, 2)
    assert figures["confusion"] == {"classes": ["a", "b"], "counts": [[1, 0], [1, 0]]}
    json.dumps(figures)


def test_interval_of_two_images_is_that_of_their_four_equally_likely_draws() -> None:
    # Draws: good good (F 1), good bad twice (F 0.5), bad bad (F 0), each a quarter.
    assert detailed_figures(_report([0, 10]))["interval_95"]["f_det"] == [0.0, 1.0]


def test_intervals_hold_the_figure_and_shrink_with_images() -> None:
    widths = []
    for n in (8, 128):
        figures = detailed_figures(_report([0, 0, 0, 10] * (n // 4)))
        interval = figures["interval_95"]["f_det"]
        assert interval is not None
        low, high = interval
        assert low <= figures["f_det"] <= high
        widths.append(high - low)
    # The standard error is proportional to one over the root of n.
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_images_alike_leave_no_doubt() -> None:
    interval = detailed_figures(_report([0, 0, 0]))["interval_95"]["f_avg"]
    assert interval == pytest.approx([1 / 3, 1 / 3])


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(image_weights(5, 1), image_weights(5, 1))
    assert (image_weights(5, 1) != image_weights(5, 2)).any()
    assert (image_weights(5, 1).sum(axis=1) == 5).all()


def test_other_classes_leave_detection_only() -> None:
    figures = detailed_figures(_report([0], classes=("a",)))
    assert figures["f_det"] == 1.0
    assert figures["per_class"] is None
    assert figures["confusion"] is None
    assert figures["interval_95"]["f_class"] is None


def test_a_class_of_which_there_is_nothing_counts_neither_for_nor_against() -> None:
    figures = detailed_figures(_report([0, 0], classes=("a", "b", "nowhere")))
    # Two of four a are right, and no b is found: a has F 2/3, b has 0.
    assert figures["f_avg"] == pytest.approx(1 / 3)
    f_class, per_class = figures["f_class"], figures["per_class"]
    intervals = figures["interval_95"]["f_class"]
    assert f_class is not None
    assert per_class is not None
    assert intervals is not None
    assert (f_class["nowhere"], per_class["nowhere"]["f1"], intervals["nowhere"]) == (None,) * 3
    assert figures["interval_95"]["f_avg"] == pytest.approx([1 / 3] * 2)


def test_draws_without_a_class_do_not_widen_its_interval() -> None:
    pixels = np.zeros((60, 60, 3), dtype=np.uint8)
    xy = np.array([[10, 10]], dtype=np.float32)
    names = ["b", *["a"] * 9]
    images = [AnnotatedImage(str(i), pixels, xy, (name,), 0.5) for i, name in enumerate(names)]
    tables = [nucleus_table([10], [10], name) for name in names]
    figures = detailed_figures(score_tables(images, tables, ("a", "b")))
    # A third of all draws has no b.
    assert figures["interval_95"]["f_class"] == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert figures["interval_95"]["f_avg"] == [1.0, 1.0]


def test_images_without_anything_have_no_figure_and_no_interval() -> None:
    image = AnnotatedImage(
        "empty", np.zeros((9, 9, 3), np.uint8), np.zeros((0, 2), np.float32), (), 0.5
    )
    figures = detailed_figures(score_tables([image] * 5, [nucleus_table([], [], [])] * 5, ("a",)))
    assert figures["f_avg"] is None
    assert figures["interval_95"] == {"f_det": None, "f_avg": None, "f_class": {"a": None}}
    json.dumps(figures, allow_nan=False)
