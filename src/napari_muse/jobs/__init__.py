"""Work beside the interface: jobs of muse_core in processes, and shorter work in threads."""

from __future__ import annotations
