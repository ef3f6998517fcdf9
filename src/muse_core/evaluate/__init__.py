"""How good a model is: F1 at 3 um on points-folders."""

from __future__ import annotations
