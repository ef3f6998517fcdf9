"""Training of the heads on frozen features."""

from __future__ import annotations
