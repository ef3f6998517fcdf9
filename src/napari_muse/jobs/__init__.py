"""Starts jobs of muse_core and relays their progress."""

from __future__ import annotations
