"""The images in a file: which of them are tissue, and which one is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from muse_core.errors import UserError
from muse_core.slides.choice import ImageChoice

_COARSEST_TISSUE_UM = 5.0
"""Images coarser than this (2x) are macro images, if the file has a finer one too."""
_SMALL = 1 / 4
"""Up to this share of the largest, a name that merely contains such a word counts."""
_WORDS = {
    "label": "label",
    "barcode": "label",
    "macro": "macro",
    "overview": "macro",
    "map": "macro",
    "thumbnail": "thumbnail",
    "thumb": "thumbnail",
    "preview": "thumbnail",
    "mask": "other",
    "probability": "other",
}
_NAMES_ALL = re.compile(rf"(slide|whole)?[\W_]*({'|'.join(_WORDS)})([\W_]*(image|img|photo))?\W*")
_NAMES_SOME = re.compile(rf"(?<![a-z])({'|'.join(_WORDS)})(?![a-z])")
_MOST_NAMED = 6


class Role(StrEnum):
    """Role of an image in a file."""

    TISSUE = "tissue"
    LABEL = "label"
    MACRO = "macro"
    THUMBNAIL = "thumbnail"
    OTHER = "other"


@dataclass(frozen=True)
class SlideImage:
    """An image of a file.

    Attributes:
        name: As the file has it, "" where it has none.
        width: Columns of its finest level.
        height: Rows.
        role: Tissue, label, macro image or the like.
        mpp: Microns per pixel, or None.
        planes: How many planes it is a stack of.
        number: From 1 among the tissue images of the file, None for others.
    """

    name: str
    width: int
    height: int
    role: Role = Role.TISSUE
    mpp: float | None = None
    planes: int = 1
    number: int | None = None

    @property
    def px(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def __str__(self) -> str:
        """For people: "image 2 (area, 896 x 896 px)"."""
        named = f"{self.name[:60]}, " if self.name else ""
        return f"image {self.number} ({named}{self.width} x {self.height} px)"


def role_of_name(name: str, share: float) -> Role:
    """Return the role of an image by its name.

    Args:
        name: As in the file.
        share: Its pixels over those of the largest image of the file.
    """
    text = name.strip().lower()
    match = _NAMES_ALL.fullmatch(text)
    if match:
        return Role(_WORDS[match[2]])
    match = _NAMES_SOME.search(text) if share <= _SMALL else None
    return Role(_WORDS[match[1]]) if match else Role.TISSUE


def numbered(images: Sequence[SlideImage]) -> tuple[SlideImage, ...]:
    """Give the tissue images their numbers; the largest of all is tissue where none else is."""
    if not images:
        return ()
    scales = [i.mpp for i in images if i.mpp is not None and i.role is Role.TISSUE]
    finest = min(scales, default=None)
    sure = [
        replace(image, role=Role.MACRO)
        if image.role is Role.TISSUE
        and image.mpp is not None
        and finest is not None
        and finest < _COARSEST_TISSUE_UM < image.mpp
        else image
        for image in images
    ]
    if all(image.role is not Role.TISSUE for image in sure):
        best = max(range(len(sure)), key=lambda i: sure[i].px)
        sure[best] = replace(sure[best], role=Role.TISSUE)
    found, number = [], 0
    for image in sure:
        number += image.role is Role.TISSUE
        found.append(replace(image, number=number if image.role is Role.TISSUE else None))
    return tuple(found)


def largest_tissue(images: Sequence[SlideImage]) -> int:
    """Number of the largest tissue image, the first of equal ones."""
    return max((i for i in images if i.number), key=lambda i: i.px).number or 1


def pick_image(
    images: Sequence[SlideImage], default: int, choice: ImageChoice, file_name: str
) -> SlideImage:
    """The chosen image.

    Args:
        images: Of :func:`numbered`.
        default: Number of the image that is taken where none is chosen.
        choice: What the user wants.
        file_name: For the message.

    Raises:
        UserError: There is no image of that number.
    """
    tissue = [i for i in images if i.number is not None]
    wanted = choice.image or default
    found = next((i for i in tissue if i.number == wanted), None)
    if found is not None:
        return found
    if len(tissue) == 1:
        raise UserError(f"{file_name} holds one tissue image; there is no image {wanted}.")
    raise UserError(
        f"{file_name} holds {len(tissue)} tissue images, {_named(tissue)}; "
        f"there is no image {wanted}."
    )


def pick_plane(sizes: Sequence[tuple[str, int]], choice: ImageChoice, file_name: str) -> list[int]:
    """The chosen plane of a stack, by default the middle one along each axis.

    Args:
        sizes: Axis and length of those that are stacked, the slowest first.
        choice: What the user wants.
        file_name: For the message.

    Returns:
        Index along each axis, from 0.

    Raises:
        UserError: There is no plane of that number.
    """
    total = count_planes(sizes)
    if choice.plane is None:
        return [n // 2 for _, n in sizes]
    if choice.plane > total:
        has = "is no stack" if total == 1 else f"has {total} planes"
        raise UserError(f"{file_name} {has}; there is no plane {choice.plane}.")
    rest, found = choice.plane - 1, []
    for _, n in reversed(sizes):
        rest, index = divmod(rest, n)
        found.append(index)
    return found[::-1]


def plain(choice: ImageChoice, file_name: str) -> None:
    """Refuse the choice of a plane or of channels where the format knows neither.

    Raises:
        UserError: A plane beyond the first, or channels, are chosen.
    """
    pick_plane((), choice, file_name)
    choice.require_natural(4, file_name)


def plane_number(sizes: Sequence[tuple[str, int]], at: Sequence[int]) -> int:
    """The number from 1 of a plane, the inverse of :func:`pick_plane`."""
    number = 0
    for (_, n), index in zip(sizes, at, strict=True):
        number = number * n + index
    return number + 1


def count_planes(sizes: Sequence[tuple[str, int]]) -> int:
    """Return the number of planes of a stack."""
    total = 1
    for _, n in sizes:
        total *= n
    return total


@dataclass(frozen=True)
class TakenImage:
    """The image and plane of a file that is opened, with notes for the user.

    Attributes:
        images: All images of the file.
        image: The one that is opened.
        plane: Number of the plane, 1 where there is one only.
        part: Key of this image and plane within the file, "" for the default ones.
        choice: The choice that opens this image and plane again.
        notes: Sentences for the user about choices that were made for them.
    """

    images: tuple[SlideImage, ...]
    image: SlideImage
    plane: int
    part: str
    choice: ImageChoice
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DefaultChoice:
    """The image and plane that are opened if nothing is chosen.

    Attributes:
        image: Number of the image.
        why: Why this image is the default.
        plane: Number of the plane, the middle one of a stack.
    """

    image: int = 1
    why: str = "the largest"
    plane: int = 1


_LARGEST = DefaultChoice()


def plane_zt(stack: Sequence[tuple[str, int]], plane: Sequence[int]) -> tuple[int, int]:
    """Index, from 0, of the focal plane and of the point of time of a plane; 0 without such axes.

    Args:
        stack: Axes that stack planes, and their lengths.
        plane: Index along each.
    """
    at = {axis.lower(): index for (axis, _), index in zip(stack, plane, strict=True)}
    return at.get("z", 0), at.get("t", 0)


def taken(
    images: Sequence[SlideImage],
    plane: int,
    choice: ImageChoice,
    file_name: str,
    default: DefaultChoice = _LARGEST,
) -> TakenImage:
    """Describe the image and plane that are opened.

    Args:
        images: Of :func:`numbered`.
        plane: Number of the plane.
        choice: What the user wants.
        file_name: For sentences.
        default: What is taken where nothing is chosen.
    """
    image, why = pick_image(images, default.image, choice, file_name), default.why
    several = sum(i.number is not None for i in images) > 1
    parts = [f"image={image.number}"] if image.number != default.image else []
    parts += [f"plane={plane}"] if plane != default.plane else []
    said = []
    if several and choice.image is None:
        others = [i for i in images if i.number is not None and i is not image]
        if all(i.px == image.px for i in others):
            why = "the first"
        said.append(
            f"{file_name} holds {len(others) + 1} tissue images; looked at is {image}, {why}. "
            f"Not looked at: {_named(others)}; choose with --image, or in the panel of napari."
        )
    if image.planes > 1 and choice.plane is None:
        said.append(
            f"{file_name} is a stack of {image.planes} planes; looked at is plane {plane}, "
            "the middle one. Choose another with --plane, or in the panel of napari."
        )
    leads_here = ImageChoice(
        image.number if several else None, plane if image.planes > 1 else None, choice.channels
    )
    return TakenImage(tuple(images), image, plane, "&".join(parts), leads_here, tuple(said))


def _named(images: Sequence[SlideImage]) -> str:
    text = ", ".join(str(i) for i in images[:_MOST_NAMED])
    return text if len(images) <= _MOST_NAMED else f"{text} and {len(images) - _MOST_NAMED} more"
