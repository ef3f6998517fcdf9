"""Robust file access: atomic writes, locks, listings, checks of targets, remote files."""

from muse_core.files.atomic import make_folder, replacing
from muse_core.files.deletable import open_deletable, remove_deletable
from muse_core.files.file_rows import FileRows
from muse_core.files.hashing import canonical_json, digest_of, sha256_of
from muse_core.files.litter import entries, is_litter, tree
from muse_core.files.locking import NO_LOCKS, is_being_written, left_on, locked, only_one
from muse_core.files.names import shortened, spelt_as
from muse_core.files.room import GOES_ON, no_room_sentence, resumable
from muse_core.files.small import parse_json, read_small, text_of
from muse_core.files.steady import steady_file
from muse_core.files.system_errors import system_sentence
from muse_core.files.targets import (
    check_writable,
    destination,
    is_special,
    names_stdout,
    require_outside,
    require_writable_folder,
)
from muse_core.files.unnamed import unnamed_file

__all__ = [
    "GOES_ON",
    "NO_LOCKS",
    "FileRows",
    "canonical_json",
    "check_writable",
    "destination",
    "digest_of",
    "entries",
    "is_being_written",
    "is_litter",
    "is_special",
    "left_on",
    "locked",
    "make_folder",
    "names_stdout",
    "no_room_sentence",
    "only_one",
    "open_deletable",
    "parse_json",
    "read_small",
    "remove_deletable",
    "replacing",
    "require_outside",
    "require_writable_folder",
    "resumable",
    "sha256_of",
    "shortened",
    "spelt_as",
    "steady_file",
    "system_sentence",
    "text_of",
    "tree",
    "unnamed_file",
]
