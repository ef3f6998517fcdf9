"""Keys, mouse, lasso and camera; edits that ask first, and numbers as people type them."""

from __future__ import annotations
