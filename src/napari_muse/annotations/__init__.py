"""The nuclei of a slide as arrays for display, synchronised with the annotation store."""

from __future__ import annotations
