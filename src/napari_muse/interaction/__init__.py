"""Keys, mouse, lasso and camera; edits that ask for confirmation; typed numbers."""

from __future__ import annotations
