"""The command line: ``muse ...``, every capability without a screen.

Nothing heavy is imported before a command needs it, so that ``muse --help`` answers at once.
"""

from __future__ import annotations

from muse_core.cli.app import main

__all__ = ["main"]
