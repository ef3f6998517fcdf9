"""Nuclei to CSV through napari's own File > Save."""

from __future__ import annotations

from typing import Any

from muse_core.errors import UserError
from muse_core.nuclei import write_csv
from napari_muse.io.reader import SOURCE_KEY


def write_layer_nuclei(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the nuclei behind a points layer, all of them, not only those on screen.

    Args:
        path: Target file.
        data: The layer's points, not used: a layer shows a part.
        meta: The layer's attributes; its metadata tell where the nuclei are.

    Raises:
        UserError: The layer is not one of MUSE's, the slide's MPP is unknown, or the file cannot
            be written.
    """
    source = meta.get("metadata", {}).get(SOURCE_KEY)
    if not callable(source):
        raise UserError("This layer is not a nucleus layer of MUSE; save it in another format.")
    content = source()
    if content.mpp is None:
        raise UserError("Tell the MUSE panel how large a pixel of this slide is, then save again.")
    write_csv(content.table, path, content.mpp, content.origin_px, content.slide)
    return [path]
