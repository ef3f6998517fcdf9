"""The dock widget "MUSE": Qt forms on top of the session, without logic of their own."""

from __future__ import annotations
