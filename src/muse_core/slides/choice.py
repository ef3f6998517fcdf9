"""The image, plane and channels that a person has chosen of a file with several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Integral
from typing import Any
from urllib.parse import parse_qsl

from muse_core.errors import UserError
from muse_core.strict import STRICT

RGB, RGBA = "rgb", "rgba"
_NUMBERS = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*")
_PART = re.compile(r"[0-9]{1,9}")
_NATURAL = ((1, 2, 3), (1, 2, 3, 4))


@dataclass(frozen=True)
class ImageChoice:
    """A choice of image, plane of a stack and channels. None leaves it to the file.

    Attributes:
        image: Number among the tissue images of the file, from 1; None is the one it opens with.
        plane: Number in a stack (focal planes, points of time), from 1; None is the middle one.
        channels: "rgb" where the first three are red, green and blue whatever their names say, and
            a fourth is alpha unless its name says otherwise; "rgba" where the fourth is alpha
            whatever its name says; or the numbers of the channels to take, from 1: "3,2,1" (red,
            green, blue), "1,2,3,4" (with transparency) or "2" (gray).
    """

    __pydantic_config__ = STRICT

    image: int | None = None
    plane: int | None = None
    channels: str | None = None

    def __post_init__(self) -> None:
        for what, number in (("image", self.image), ("plane", self.plane)):
            if number is not None and (not isinstance(number, Integral) or number < 1):
                raise UserError(f"The number of the {what} counts from 1, got {number!r:.40}.")
        if self.channels is not None:
            if not isinstance(self.channels, str):
                raise UserError(f'Channels are a text such as "3,2,1", got {self.channels!r:.40}.')
            self.channel_numbers()

    @property
    def is_rgb(self) -> bool:
        """Whether the channels are red, green and blue in this order, and alpha where there is."""
        return self.channels is not None and _plain(self.channels) == RGB

    def require_natural(self, count: int, file_name: str) -> None:
        """Refuse any but the colours of a pixel in their own order, which are stored together.

        Args:
            count: Number of samples of a pixel.
            file_name: For the message.

        Raises:
            UserError: Others are chosen.
        """
        wanted = self.channel_numbers()
        if wanted is None or self.is_rgb or (wanted in _NATURAL and len(wanted) <= max(count, 3)):
            return
        raise UserError(
            f"{file_name} keeps its colours in one image; there are no channels to choose from."
        )

    def channel_numbers(self) -> tuple[int, ...] | None:
        """One number, three or four, from 1; None where the choice is left to the file.

        Raises:
            UserError: The text is neither "rgb" nor "rgba" nor such numbers.
        """
        if self.channels is None:
            return None
        text = _plain(self.channels)
        if text in (RGB, RGBA):
            return _NATURAL[0 if text == RGB else 1]
        found = tuple(map(int, text.split(","))) if _NUMBERS.fullmatch(text) else ()
        if len(found) not in (1, 3, 4) or 0 in found:
            raise UserError(
                'Channels are "rgb" or "rgba", or one, three or four numbers from 1 on as in'
                f" 3,2,1; got {self.channels!r}."
            )
        return found

    @classmethod
    def of_part(cls, part: str) -> ImageChoice:
        """From what names a part of a file, as :attr:`muse_core.slides.Slide.part` does.

        Raises:
            UserError: It names none.
        """
        values: dict[str, Any] = {}
        for key, value in parse_qsl(part):
            if key not in ("image", "plane") or key in values or not _PART.fullmatch(value):
                raise UserError(f"{part[:100]!r} names no image of a slide.")
            values[key] = int(value)
        if part and not values:
            raise UserError(f"{part[:100]!r} names no image of a slide.")
        return cls(**values)


def require_choice(choice: object) -> None:
    """Refuse what is no choice, such as the bare number of an image."""
    if not isinstance(choice, ImageChoice):
        raise UserError(f"A choice is an ImageChoice, as in ImageChoice(image=2); got {choice!r}.")


def _plain(channels: str) -> str:
    # Spaces count between digits: "1 2" is not 12.
    text = ",".join(part.strip() for part in channels.split(",")).lower()
    letters = "".join(text.replace(",", " ").split())
    return letters if letters in (RGB, RGBA) else text
