"""Background work: jobs of muse_core in separate processes, and shorter work in threads."""

from __future__ import annotations
