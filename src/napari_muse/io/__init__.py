"""Reader, writer, sample data and export, as napari calls them."""

from __future__ import annotations
