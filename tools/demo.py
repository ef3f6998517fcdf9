"""The demo: opens napari on the sample slide, detects every nucleus through the panel, and saves.

Leaves ``nuclei.csv`` and ``screenshot.png`` in the output folder. With ``--stay`` the window stays
open for the user afterwards.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import napari
from qtpy.QtCore import QCoreApplication, QTimer

from muse_core.errors import UserError
from muse_core.jobs import Done, Ended
from napari_muse.io.sample import sample_slide_path
from napari_muse.panels.muse_panel import MusePanel

_WINDOW_PX = (1600, 1000)
_SETTLE_MS = 1500
_TIMEOUT_MS = 10 * 60 * 1000


class Demo:
    """One run of the demo in a viewer."""

    def __init__(self, out: Path, stay: bool) -> None:
        self._out = out
        self._stay = stay
        self.exit_code = 1
        self.viewer = napari.Viewer(title="napari-muse")
        self.viewer.window.resize(*_WINDOW_PX)
        _, panel = self.viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
        self.panel: MusePanel = panel

    def run(self) -> int:
        """Open, detect, save, and leave the event loop; returns the exit code."""
        out = self._out
        out.mkdir(parents=True, exist_ok=True)
        self.viewer.open(sample_slide_path(), plugin="napari-muse")
        self.viewer.reset_view()
        self.panel.detection.ended.connect(self._on_end)
        place = self.panel.detect.place
        place.setCurrentIndex(place.findData("slide"))
        QTimer.singleShot(_SETTLE_MS, self.panel.detect.run)
        QTimer.singleShot(_TIMEOUT_MS, self._give_up)
        napari.run()
        return self.exit_code

    def _on_end(self, event: Ended) -> None:
        print(event.message, flush=True)
        if not isinstance(event, Done) or not event.result["nuclei"]:
            self._leave()
            return
        self.panel.export.save(self._out / "nuclei.csv")
        self._frame()
        QTimer.singleShot(_SETTLE_MS, self._shoot_when_saved)

    def _frame(self) -> None:
        """Fit the slide's width to the canvas, slightly above its middle, where nuclei are."""
        slide = self.panel.session.require_slide()
        mpp = slide.require_mpp()
        _, width = self.viewer.canvas.size
        self.viewer.scene.camera.zoom = width / (0.62 * slide.width * mpp)
        self.viewer.scene.camera.center = (0.27 * slide.height * mpp, 0.48 * slide.width * mpp)

    def _shoot_when_saved(self) -> None:
        saved = not self.panel.export.busy
        QTimer.singleShot(
            0 if saved else _SETTLE_MS, self._shoot if saved else self._shoot_when_saved
        )

    def _shoot(self) -> None:
        path = self._out / "screenshot.png"
        self.viewer.window.screenshot(str(path), size=None, canvas_only=False, flash=False)
        self.exit_code = 0
        print(f"Wrote {self._out / 'nuclei.csv'} and {path}.", flush=True)
        if not self._stay:
            self._leave()

    def _give_up(self) -> None:
        if self.exit_code:
            print("error: the detection did not end within ten minutes.", file=sys.stderr)
            self._leave()

    def _leave(self) -> None:
        self.viewer.close()
        QCoreApplication.quit()


def main() -> int:
    """Run the demo; the exit code is 0 only if both files exist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--stay", action="store_true", help="keep the window open")
    options = parser.parse_args()
    try:
        return Demo(options.out, options.stay).run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
