"""The rule for names of classes, models and regions, which every file format can store."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LONGEST_NAME = 1000
"""Letters; a small compressed file could otherwise expand to names that fill the memory."""
_KEPT = 64
"""A million nuclei have a few names; those of a file that has many are checked one by one."""


@lru_cache(_KEPT)
def fault_of_name(name: str) -> str:
    """Return why a text cannot be a name, as words to follow "a name"; "" if it can."""
    if len(name) > LONGEST_NAME:
        return f"of more than {LONGEST_NAME:,} letters"
    if "\0" in name:
        return "with a null character"
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        # A lone surrogate cannot be written to any file.
        return "with letters that are no Unicode"
    return ""


@lru_cache(_KEPT)
def one_spelling(name: str) -> str:
    """Return a name from a file as every other file spells it.

    Letters with accents are composed (NFC), which programs on a Mac sometimes take apart, so that
    two spellings are not two classes. Null characters, which pad texts of fixed width and which
    not every format holds, are removed.
    """
    return unicodedata.normalize("NFC", name).replace("\0", "")
