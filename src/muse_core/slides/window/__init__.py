"""Images that only a window has, lent to the jobs it starts: a server there, a reader here.

A file of a few bytes stands for the image wherever a slide's path is wanted. It says what the image
is, so that annotations are found again by it, and not where; pixels come over a local connection
that only processes with the window's key can open.
"""

from __future__ import annotations

from muse_core.slides.window.key import job_variables
from muse_core.slides.window.server import WindowServer

__all__ = ["WindowServer", "job_variables"]
