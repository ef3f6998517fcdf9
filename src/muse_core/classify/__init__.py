"""Features of nuclei on disk, relearning of classes from them, and the order of review."""

from __future__ import annotations
