"""Samples of fine-tuning: annotated images, reviewed fields, tissue without annotations, views."""

from __future__ import annotations
