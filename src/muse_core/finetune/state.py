"""The state of a run on disk; where pretraining keeps its own too."""

from __future__ import annotations

from muse_core.models.run_state import load_state, save_state

__all__ = ["load_state", "save_state"]
