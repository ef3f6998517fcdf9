"""Annotated images on disk: points-folders, and published datasets by their own layout."""

from __future__ import annotations
