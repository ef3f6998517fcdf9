"""Features of nuclei, and what is learnt from them."""

from __future__ import annotations
