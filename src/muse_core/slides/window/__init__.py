"""Images that exist only in a window, served to the jobs it starts.

A placeholder file of a few bytes represents the image wherever the path of a slide is needed. It
holds the image's fingerprint, by which annotations are found again. Pixels are read over a local
connection, which only processes with the window's key can open.
"""

from __future__ import annotations

from muse_core.slides.window.key import job_variables
from muse_core.slides.window.server import WindowServer

__all__ = ["WindowServer", "job_variables"]
