from __future__ import annotations

import numpy as np
import pytest

from muse_core.data.points_folder import AnnotatedImage
from muse_core.evaluate.detection import score_tables
from muse_core.nuclei import nucleus_table


def _image(xy: list[tuple[float, float]], names: tuple[str, ...]) -> AnnotatedImage:
    pixels = np.zeros((50, 50, 3), dtype=np.uint8)
    return AnnotatedImage("i", pixels, np.array(xy, dtype=np.float32).reshape(-1, 2), names, 0.5)


def test_hand_worked_report() -> None:
    # At 0.5 um/px the radius is 6 px. Image 1: a right, b found but called a. Image 2: one missed.
    images = [_image([(10, 10), (30, 30)], ("a", "b")), _image([(10, 10)], ("b",))]
    tables = [
        nucleus_table([10, 36], [10, 30], ["a", "a"]),
        nucleus_table([17], [10], ["b"]),
    ]
    report = score_tables(images, tables, ("a", "b"))
    assert report.f_det == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert report.classes is not None
    # a: 1 right, 1 wrong. b: 0 right, 1 wrong, 2 missed.
    assert report.classes["a"].f1 == pytest.approx(2 / 3)
    assert report.classes["b"].f1 == 0.0
    assert report.f_avg == pytest.approx(1 / 3)
    assert report.to_json()["n_images"] == 2


def test_other_classes_leave_detection_and_no_class_figures() -> None:
    report = score_tables([_image([(10, 10)], ("x",))], [nucleus_table([10], [10], ["a"])], ("a",))
    assert report.f_det == 1.0
    assert report.to_json()["f_avg"] is None
    assert report.to_json()["f_class"] is None


def test_radius_is_three_microns_inclusive() -> None:
    image = _image([(10, 10)], ("a",))
    assert score_tables([image], [nucleus_table([16], [10], ["a"])], ("a",)).f_det == 1.0
    assert score_tables([image], [nucleus_table([16.01], [10], ["a"])], ("a",)).f_det == 0.0
