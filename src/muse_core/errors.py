"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right; the message is one clear sentence.

    The command line prints it and exits with code 2, the napari panel shows it as it is.
    """
