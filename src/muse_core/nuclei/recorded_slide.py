"""RecordedSlide: the slide that a file of nuclei names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from muse_core.errors import UserError

_LONGEST_NAME = 1024
_CONTENT = re.compile(r"sha256:[0-9a-z]{1,64}(#[a-z0-9=&]{1,100})?")
_DAMAGED = "What it says of its slide is damaged."


@dataclass(frozen=True)
class RecordedSlide:
    """A slide as files of nuclei name it.

    Attributes:
        name: File name of the slide when the file was written.
        content: "sha256:" and the first digits of the slide's fingerprint, which tell it from
            others whatever they are called; then "#" and which image and plane of the file, as
            :attr:`muse_core.slides.Slide.part`, unless it is the one that is opened unasked.

    Raises:
        UserError: A value is of another form.
    """

    name: str
    content: str

    def __post_init__(self) -> None:
        texts = isinstance(self.name, str) and isinstance(self.content, str)
        if not texts or not _CONTENT.fullmatch(self.content):
            raise UserError(_DAMAGED)
        if not self.name.strip() or len(self.name) > _LONGEST_NAME:
            raise UserError(_DAMAGED)

    @property
    def tissue(self) -> str:
        """``content`` without the plane: the same for all planes of an image."""
        return without_plane(self.content)

    def told_from(self, other: RecordedSlide) -> str:
        """Return why this is another slide, to follow "The file is"; "" where it is the same.

        Planes of one image are one slide: they show the same tissue.
        """
        if self.tissue == other.tissue:
            return ""
        if self.content.partition("#")[0] == other.content.partition("#")[0]:
            return f"of another image of {other.name} than the one that is open"
        if self.name == other.name:
            return f"of another slide of the same name, {self.name}"
        return f"of the slide {self.name}, and not of {other.name}"

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object, the inverse of :meth:`from_json`."""
        return {"name": self.name, "content": self.content}

    @classmethod
    def from_json(cls, value: Any) -> RecordedSlide:
        """Read what :meth:`to_json` gave; raises UserError for anything else."""
        if not isinstance(value, dict):
            raise UserError(_DAMAGED)
        return cls(value.get("name", ""), value.get("content", ""))


def without_plane(fingerprint: str) -> str:
    """A fingerprint that is the same for all planes of an image."""
    content, _, part = fingerprint.partition("#")
    kept = "&".join(p for p in part.split("&") if p and not p.startswith("plane="))
    return f"{content}#{kept}" if kept else content
