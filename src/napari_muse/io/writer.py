"""Nuclei to CSV through napari's own File > Save."""

from __future__ import annotations

from typing import Any

from napari_builtins.io import napari_write_points

from muse_core.errors import UserError
from muse_core.nuclei import write_csv
from napari_muse.io.reader import SOURCE_KEY


def write_layer_nuclei(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the nuclei behind a points layer, all of them, not only those on screen.

    Any other layer of points is written as napari does it: a file without a named plugin is
    written by the one that is found first, in the order of the disk, and "napari" names this one
    too, because npe2 compares the beginning of names.

    Args:
        path: Target file.
        data: The layer's points, not used for nuclei: a layer shows a part.
        meta: The layer's attributes; its metadata tell where the nuclei are.

    Raises:
        UserError: The slide's MPP is unknown, or the file cannot be written.
    """
    source = meta.get("metadata", {}).get(SOURCE_KEY)
    if not callable(source):
        written = napari_write_points(path, data, meta)
        return [written] if written else []
    content = source()
    if content.mpp is None:
        raise UserError("Tell the MUSE panel how large a pixel of this slide is, then save again.")
    write_csv(content.table, path, content.mpp, content.origin_px, content.slide)
    return [path]
