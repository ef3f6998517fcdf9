"""Layers of the slide, its nuclei, regions and areas; other plugins' layers as slides."""

from __future__ import annotations
