from __future__ import annotations

from muse_core.jobs import LossMeasured, MetricsMeasured, Progress
from napari_muse.jobs.training_curves import CLASSES, FOUND, LOSS, TrainingCurves


def test_events_of_a_training_become_curves() -> None:
    curves = TrainingCurves()
    for event in (
        LossMeasured(1, 0.5),
        Progress(1, 2, "training"),
        LossMeasured(2, 0.25),
        MetricsMeasured({"step": 2, "f_det": 0.75, "f_avg": None, "threshold": 0.5}),
    ):
        curves.add(event)
    assert curves.xy(LOSS) == ([1, 2], [0.5, 0.25])
    assert curves.xy(FOUND) == ([2], [0.75])
    assert curves.xy(CLASSES) == ([], []), "a class that none is of has no figure"
    curves.clear()
    assert curves.xy(LOSS) == ([], [])
