"""Evaluation of models: F1 at 3 um on points-folders."""

from __future__ import annotations
