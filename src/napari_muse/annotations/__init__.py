"""The nuclei of a slide as the screen needs them, in step with the store."""

from __future__ import annotations
