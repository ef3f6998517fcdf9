"""How long the interface freezes while it fine-tunes, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/heartbeat.py SLIDE.svs

Detects nuclei in two fields of a slide with the bundled model, marks the fields as reviewed, and
presses "Fine-tune on my corrections". A timer of 5 ms runs in the interface's thread; a late tick
is a gap, and a second thread records what that thread is executing. Three rows: panning without a
job, a job without panning, and both. If the CPU renders instead of a graphics card, a frame alone
is a long gap; so gaps are classified by whether the canvas was being painted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

# Portrait format, like the canvas.
_FIELDS = ((850, 900, 400, 300), (850, 2100, 400, 300))
_BEAT_MS = 5
_PAN_MS = 40
_PAN_S = 15.0
_LATE_MS = 50.0
_LOOK_S = 0.002
_LEARN_TAB = 3
_PAINTING = ("paintGL", "grabFramebuffer", "paintEvent")
_WINDOW = "qt_main_window.event"
"""If only this is running, Qt itself lays out and paints the window."""


class Heartbeat:
    """Ticks in the thread it is created in; records every gap, its cause and its busy time."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.gaps: list[tuple[float, float, str]] = []
        """Wall clock and work of the thread in ms, and the function that stood in the way."""
        self._seen: Counter[str] = Counter()
        self._main = threading.get_ident()
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start()
        self._looker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat()
        self._timer.stop()
        self._over.set()
        self._looker.join()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        took, work = ((b - a) * 1000 for a, b in zip(self._last, now, strict=True))
        self._last = now
        if took > 2 * _BEAT_MS:
            cause = self._seen.most_common(1)[0][0] if self._seen else "not known"
            self.gaps.append((took, work, cause))
        self._seen = Counter()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            if time.perf_counter() - self._last[0] > 2 * _BEAT_MS / 1000:
                self._seen[_cause(sys._current_frames().get(self._main))] += 1


def _cause(frame: Any) -> str:
    """The workbench function that is running, or painting, or the innermost function."""
    innermost, own = None, None
    while frame is not None:
        code = frame.f_code
        if code.co_name in _PAINTING:
            return "painting"
        name = f"{Path(code.co_filename).stem}.{code.co_name}"
        if Path(code.co_filename) != Path(__file__):
            innermost = innermost or name
            if "napari_muse" in code.co_filename:
                own = own or name
        frame = frame.f_back
    return "painting" if innermost == _WINDOW else own or innermost or "Qt"


def _row(what: str, gaps: list[tuple[float, float, str]]) -> None:
    painting = [g for g in gaps if g[2] == "painting"]
    others = sorted((g for g in gaps if g[2] != "painting"), reverse=True)
    longest = max((g[0] for g in painting), default=0.0)
    late = [g for g in others if g[0] > _LATE_MS]
    took, work, cause = others[0] if others else (0.0, 0.0, "-")
    most_work = max((g[1] for g in others), default=0.0)
    slow = sum(g[0] > _LATE_MS for g in painting)
    print(
        f"| {what} | {longest:.0f} ({slow} of {len(painting)}) | {took:.0f} ({len(late)} of"
        f" {len(others)}): {cause}, {work:.0f} at work | {most_work:.0f} |"
    )
    for took, work, cause in others[:6]:
        print(f"    {took:.0f} ms, {work:.0f} at work: {cause}", file=sys.stderr)


def _wait(over: Callable[[], bool], limit_s: float = 600.0) -> None:
    from qtpy.QtCore import QEventLoop
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + limit_s
    while not over():
        if time.monotonic() > end:
            raise TimeoutError("the job took too long")
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


def _pan_timer(viewer: Any) -> Any:
    from qtpy.QtCore import QTimer

    camera = viewer.scene.camera
    y, x = camera.center[-2:]
    step = 0.02 * viewer.canvas.size[1] / camera.zoom
    count = [0]

    def pan() -> None:
        count[0] += 1
        # There and back, one view width in all.
        at = 50 - abs(count[0] % 100 - 50)
        camera.center = (0.0, float(y), float(x) + step * (at - 25))

    timer = QTimer()
    timer.setInterval(_PAN_MS)
    timer.timeout.connect(pan)
    return timer


def _review(panel: Any) -> None:
    from muse_core.slides import Region

    session = panel.session
    for field in _FIELDS:
        session.show_area(Region(*field))
        panel.detect.run()
        _wait(lambda: not panel.detection.running)
        session.mark_field_reviewed()
    session.annotations.set_class(session.annotations.rows["id"][:20], 3)


def main(slide: Annotated[Path, typer.Argument(help="A slide with tissue at the fields.")]) -> None:
    """Print a table of gaps."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["MUSE_ANNOTATIONS"] = str(Path(folder) / "annotations")
        os.environ["XDG_DATA_HOME"] = folder  # Where the new models go.
        import napari

        viewer = napari.Viewer()
        viewer.window.resize(1500, 950)
        _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
        viewer.open(slide, plugin="napari-muse")
        _review(panel)
        panel.tabs.setCurrentIndex(_LEARN_TAB)
        _wait(lambda: panel.learn.tissue.mm2 is not None)
        pan = _pan_timer(viewer)
        print(
            f"| longest gap, ms (over {_LATE_MS:.0f} ms) | painting | all else |"
            " most work in all else |\n|---|---|---|---|"
        )
        for what, panning, job in (
            ("panning", True, False), ("fine-tuning", False, True),
            ("fine-tuning and panning", True, True),
        ):  # fmt: skip
            _row(what, _gaps(panel, pan if panning else None, job))
        print(panel.learn.message.text(), file=sys.stderr)
        viewer.close()


def _gaps(panel: Any, pan: Any, job: bool) -> list[tuple[float, float, str]]:
    with Heartbeat() as heart:
        if pan is not None:
            pan.start()
        if job:
            panel.learn.start.click()
            _wait(lambda: panel.learning.running)
            _wait(lambda: not panel.learning.running)
        end = time.monotonic() + (0.5 if job else _PAN_S)
        _wait(lambda: time.monotonic() > end)
        if pan is not None:
            pan.stop()
    return heart.gaps


if __name__ == "__main__":
    typer.run(main)
