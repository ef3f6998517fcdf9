"""Losses of the point pipeline over tensors."""

from __future__ import annotations
