from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from muse_core.errors import UserError
from muse_core.pretrain.curves import CurveFiles

from ..small_disk import fill, small_disk


def test_rows_after_the_checkpoint_go_and_files_of_others_stay(tmp_path: Path) -> None:
    curves = CurveFiles(tmp_path, 0, ("log",))
    for step in (1, 2, 3):
        curves.add("log", step, {"loss": step / 2})
    curves.close()
    other = tmp_path / "nuclei.csv"
    other.write_text("x,y,class\n7.5,1,a\n900,2,b\n")
    CurveFiles(tmp_path, 2, ("log",)).close()
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss", "1,0.5", "2,1"]
    assert other.read_text() == "x,y,class\n7.5,1,a\n900,2,b\n"


def test_tensorboard_shows_every_step_once_after_a_resumption(tmp_path: Path) -> None:
    curves = CurveFiles(tmp_path, 0, ("log", "probe"))
    for step in (1, 2, 3):
        curves.add("log", step, {"loss": step / 2, "rate": 0.25})
    # It was killed here: its third step is lost, but its curve is on disk.
    resumed = CurveFiles(tmp_path, 2, ("log", "probe"))
    resumed.add("log", 3, {"loss": 7.0, "rate": 0.25})
    resumed.add("probe", 3, {"accuracy": 0.75})
    resumed.close()
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(shown.Tags()["scalars"]) == {"log/loss", "log/rate", "probe/accuracy"}
    assert [(e.step, e.value) for e in shown.Scalars("log/loss")] == [(1, 0.5), (2, 1), (3, 7)]
    assert [(e.step, e.value) for e in shown.Scalars("probe/accuracy")] == [(3, 0.75)]
    curves.close()


def test_on_a_full_disk_there_is_a_sentence_and_whole_rows_stay(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    with small_disk(tmp_path / "run") as folder:
        curves = CurveFiles(folder, 0, ("log",))
        curves.add("log", 1, {"loss": 0.5})
        fill(folder)

        def go_on() -> None:
            for step in range(2, 5000):
                curves.add("log", step, {"loss": 1 / step})

        with pytest.raises(UserError, match=r"Cannot write .*: No space left on device\."):
            go_on()
        with contextlib.suppress(UserError):
            curves.close()
        # No thread is left that could end in a separate traceback.
        assert set(threading.enumerate()) <= threads
        (folder / "ballast").unlink()
        CurveFiles(folder, 1, ("log",)).close()
        assert (folder / "log.csv").read_text().split() == ["step,loss", "1,0.5"]
