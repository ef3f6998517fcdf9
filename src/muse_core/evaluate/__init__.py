"""Evaluation of models: F1 at 3 um on points-folders, probes of frozen features, intervals."""

from __future__ import annotations
