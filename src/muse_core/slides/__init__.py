"""Slides from files and arrays: pyramids with microns per pixel, read by region at any scale."""

from __future__ import annotations

from muse_core.slides.arrays import slide_from_arrays
from muse_core.slides.choice import ImageChoice
from muse_core.slides.images import SlideImage
from muse_core.slides.info import slide_info
from muse_core.slides.opening import SLIDE_SUFFIXES, can_open, open_slide
from muse_core.slides.region import PolygonRegion, Region
from muse_core.slides.resting import resting_slide
from muse_core.slides.slide import Slide
from muse_core.slides.tissue import TissueMask, tissue_mask

__all__ = [
    "SLIDE_SUFFIXES",
    "ImageChoice",
    "PolygonRegion",
    "Region",
    "Slide",
    "SlideImage",
    "TissueMask",
    "can_open",
    "open_slide",
    "resting_slide",
    "slide_from_arrays",
    "slide_info",
    "tissue_mask",
]
