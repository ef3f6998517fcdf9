"""napari-muse: every nucleus of an H&E slide as a class-coloured point."""

from __future__ import annotations
