"""Choose the channels that are red, green and blue, and recognise fluorescence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from muse_core.errors import UserError
from muse_core.slides.choice import RGB, ImageChoice
from muse_core.slides.pixels import Alpha

_FLUORESCENCE = re.compile(
    r"fluor|dapi|hoechst|draq|sytox|syto|propidium|\bpi\b|fitc|tritc|rhodamin|cy-?\d|alexa"
    r"|\baf ?\d{3}|atto|bodipy|texas|e?gfp|[rycb]fp\b|cherry|tomato|citrine|cerulean|\bpe\b"
    r"|\bapc\b|percp|opal|cd-?\d|pan-?ck|keratin|vimentin|foxp3|pd-?l?-?1|ki-?67|\bsma\b"
    r"|autofl|\bdye\b|spectrum|dylight|coumarin|nuclear stain|far.?red|infra.?red|\bnir\b"
    r"|\b\d{3} ?nm\b|\bex\d{3}|\bem\d{3}"
    r"|\b(405|488|532|546|555|561|568|594|633|640|647|750)\b"
)
_WORD = re.compile(r"[a-z]+")
_COLOURS = {
    **dict.fromkeys(("r", "red"), "r"),
    **dict.fromkeys(("g", "green"), "g"),
    **dict.fromkeys(("b", "blue"), "b"),
    **dict.fromkeys(("a", "alpha", "transparency", "opacity"), "a"),
}
_ALPHA = {name for name, letter in _COLOURS.items() if letter == "a"}
_OF_NO_MEANING = {
    *("brightfield", "bright", "field", "bf", "transmitted", "light", "tl", "widefield", "camera"),
    *("rgb", "rgba", "h", "e", "he", "channel", "ch", "c", "color", "colour", "image", "img"),
}
_LONGEST_NAME = 200


class ChannelsError(UserError):
    """The channels are named like fluorescent dyes; the user can override this.

    Attributes:
        what: The problem, to be completed to a sentence.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; only RGB and gray images can be read; say which are red, green and blue with"
            " --channels, as in 1,2,3, or 1,2,3,4 with transparency, or rgb."
        )
        self.what = what


@dataclass(frozen=True)
class ChannelPlan:
    """Channels of an image that become colours.

    Attributes:
        order: Index of each channel that is read, from 0: one for gray, three for RGB, four for
            RGB with alpha.
        note: A sentence for the user, or "".
        alpha: What the last of four channels is.
    """

    order: tuple[int, ...]
    note: str = ""
    alpha: Alpha = Alpha.NONE


def plan_channels(
    count: int,
    names: Sequence[str],
    file_name: str,
    choice: ImageChoice,
    eight_bit: bool = True,
    interleaved: bool = False,
) -> ChannelPlan:
    """Find out which of separate channels are red, green and blue.

    The user's choice comes first. Otherwise one channel is gray, three are RGB unless their names
    are those of dyes or markers, and four are RGB with alpha if their names say so or if they are
    interleaved. Names of colours determine the order.

    Args:
        count: Number of separate channels.
        names: Names from the metadata; empty if there are none.
        file_name: For the message.
        choice: What the user wants.
        eight_bit: Whether samples are of 8 bits, as of colour cameras.
        interleaved: Whether the channels of a pixel are stored side by side.

    Raises:
        UserError: The image looks like fluorescence, or there are no such channels.
    """
    said = [n.strip()[:_LONGEST_NAME] for n in names][:count]
    wanted = choice.channel_numbers()
    if wanted is not None:
        if max(wanted) > count:
            raise UserError(
                f"{file_name} has {count} channel{'s' if count > 1 else ''}; "
                f"there is no channel {max(wanted)}."
            )
        return _as_wanted(wanted, count, said, choice)
    stains = [n for n in said if _FLUORESCENCE.search(n.lower())]
    odd = [n for n in said if not _words(n) <= _OF_NO_MEANING | set(_COLOURS)]
    order = _colour_order(said, count)
    if count == 1:
        return ChannelPlan((0,))
    if not stains and order is not None:
        return ChannelPlan(order, alpha=Alpha.UNASSOCIATED if count == 4 else Alpha.NONE)
    if not stains and count == 4 and interleaved:
        # OME-Zarr has no word for alpha; a fourth channel may be padding.
        return ChannelPlan((0, 1, 2, 3), alpha=Alpha.UNSPECIFIED)
    if not stains and count == 3 and (eight_bit or not odd):
        listed = ", ".join(odd)
        note = f"Its channels ({listed}) are taken as red, green and blue." if odd else ""
        return ChannelPlan((0, 1, 2), note)
    shown = stains or odd or said
    named = f" ({', '.join(shown[:5])})" if shown else ""
    what = f"{file_name} has {count} channels{named} like a fluorescence image"
    if count < len(RGB):
        raise UserError(f"{what}; only RGB and gray images can be read.")
    raise ChannelsError(what)


def _as_wanted(
    wanted: Sequence[int], count: int, names: Sequence[str], choice: ImageChoice
) -> ChannelPlan:
    """The channels of these numbers, and a fourth that is left over as alpha if it may be that.

    Transparent glass is stored black, which nobody means who asks for the colours alone.
    """
    order = tuple(n - 1 for n in wanted)
    if len(order) == len("rgba"):
        return ChannelPlan(order, alpha=Alpha.UNASSOCIATED)
    if count != len("rgba") or len(set(order)) != len(RGB):
        return ChannelPlan(order)
    named = _colour_order(names, count)
    if named is not None and choice.is_rgb:
        return ChannelPlan(named, alpha=Alpha.UNASSOCIATED)
    (left,) = set(range(count)) - set(order)
    meaning = _words(names[left]) - _OF_NO_MEANING if len(names) == count else set()
    if meaning <= _ALPHA:
        alpha = Alpha.UNASSOCIATED if meaning else Alpha.UNSPECIFIED
        return ChannelPlan((*order, left), alpha=alpha)
    return ChannelPlan(order)


def _colour_order(names: Sequence[str], count: int) -> tuple[int, ...] | None:
    """Return the places of red, green, blue and alpha, where the names are just those."""
    if len(names) != count or count not in (3, 4):
        return None
    letters = []
    for name in names:
        colours = {_COLOURS[word] for word in _words(name) & set(_COLOURS)}
        other = _words(name) - set(_COLOURS) - _OF_NO_MEANING
        letters.append(colours.pop() if len(colours) == 1 and not other else "")
    wanted = "rgba"[:count]
    if sorted(letters) != sorted(wanted):
        return None
    return tuple(letters.index(letter) for letter in wanted)


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.lower()))
