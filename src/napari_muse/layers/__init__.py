"""Layers with the slide, its nuclei, regions and areas; layers of others that can be slides."""

from __future__ import annotations
