"""Reader, writer and sample data, as napari calls them; files that the panels read and write."""

from __future__ import annotations
