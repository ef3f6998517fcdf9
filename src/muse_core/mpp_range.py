"""The microns per pixel that an image of tissue can have."""

from __future__ import annotations

MIN_MPP = 0.01
MAX_MPP = 100.0
"""Far beyond what microscopes have; outside this range a scale is in the wrong unit."""
