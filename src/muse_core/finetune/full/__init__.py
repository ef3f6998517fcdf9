"""Training of all weights."""

from __future__ import annotations
