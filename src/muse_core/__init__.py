"""Nucleus detection and classification in H&E histology: slides, models, training, inference."""

from __future__ import annotations

__version__ = "0.1.0"
