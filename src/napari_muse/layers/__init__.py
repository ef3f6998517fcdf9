"""The layers of napari that show a slide's nuclei, regions and drawn areas."""

from __future__ import annotations
