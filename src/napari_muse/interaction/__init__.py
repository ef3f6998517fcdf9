"""Keys, lasso and camera."""

from __future__ import annotations
