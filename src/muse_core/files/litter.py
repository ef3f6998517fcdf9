"""List folders without the files that file managers, office programs and network drives leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from muse_core.errors import cannot

_NAMES = frozenset(
    {
        # macOS
        ".ds_store",
        ".appledouble",
        ".apdisk",
        ".documentrevisions-v100",
        ".fseventsd",
        ".localized",
        ".spotlight-v100",
        ".temporaryitems",
        ".trashes",
        ".volumeicon.icns",
        "__macosx",
        "icon\r",
        "network trash folder",
        "temporary items",
        # Windows
        "$recycle.bin",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "system volume information",
        "thumbs.db",
        # Linux desktops
        ".directory",
        "lost+found",
        # Synology, QNAP, Dropbox
        "#recycle",
        "#snapshot",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        ".@__thumb",
        ".dropbox",
        ".dropbox.attr",
        ".dropbox.cache",
    }
)
"""In lower case."""
_PATTERNS = (
    "._*",  # macOS, on drives that are not its own
    "~$*",  # Microsoft Office, while a file is open
    ".~lock.*#",  # LibreOffice, while a file is open
    ".#*",  # Emacs, while a file is changed
    "*@syno*",  # Synology: @SynoEAStream, @SynoResource
    ".trash-*",
    ".nfs*",  # deleted on a network drive while a program has it open
    ".fuse_hidden*",
    ".smbdelete*",
    ".goutputstream-*",
)


def is_litter(name: str) -> bool:
    """Whether the name is that of a file or folder that system programs create.

    Args:
        name: Without its folder. Case does not matter.
    """
    lower = name.lower()
    return lower in _NAMES or any(fnmatchcase(lower, pattern) for pattern in _PATTERNS)


def entries(folder: str | Path, pattern: str = "*") -> list[Path]:
    """Return the entries of a folder, sorted by the letters' codes on every system, without litter.

    Args:
        folder: The folder.
        pattern: Of names, as a shell has them; case matters.

    Raises:
        UserError: The folder cannot be listed.
    """
    try:
        found = [p for p in Path(folder).iterdir() if not is_litter(p.name)]
    except OSError as error:
        raise cannot("read", folder, error) from error
    return sorted((p for p in found if fnmatchcase(p.name, pattern)), key=lambda p: p.name)


def tree(folder: str | Path) -> Iterator[Path]:
    """All files in a folder and those below it, without litter; links to folders are not followed.

    Raises:
        UserError: A folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise cannot("read", error.filename, error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        yield from (Path(parent, name) for name in sorted(files) if not is_litter(name))
