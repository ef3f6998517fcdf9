"""The dock "MUSE": thin Qt forms over the session."""

from __future__ import annotations
