"""The names a device may be chosen by. No torch here: forms and job specs check them too."""

from __future__ import annotations

DEVICES = ("auto", "cpu", "cuda", "mps")
