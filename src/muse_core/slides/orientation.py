"""Pictures that are marked to be shown turned or mirrored, as those of photo cameras are."""

from __future__ import annotations

TAG = 274
"""In TIFF and in EXIF."""
_AS_STORED = 1
_KNOWN = range(1, 9)


def orientation_note(orientation: object) -> tuple[str, ...]:
    """A sentence for the user where a picture is not shown as it is stored.

    Positions count from the first stored pixel all the same, as in OpenSlide and QuPath.

    Args:
        orientation: Value of the tag, or whatever stands in its place.
    """
    if orientation not in _KNOWN or orientation == _AS_STORED:
        return ()
    return (
        f"It is marked to be shown turned or mirrored (orientation {orientation}); its pixels are"
        " taken as they are stored.",
    )
