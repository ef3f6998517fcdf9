"""The images in an OME-Zarr: one, the scenes of bioformats2raw, or the fields of a plate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.errors import UserError
from muse_core.slides.images import SlideImage, count_planes, numbered, role_of_name
from muse_core.slides.ome_xml import ome_image_names
from muse_core.slides.ome_zarr.scale import finest_first, zarr_mpp

METADATA_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")
"""Files one of which every Zarr group has in its folder."""
_MOST_IMAGES = 100_000
_MOST_SHOWN = 5
_LONGEST_XML = 64 << 20
_EARLIER_AXES = "tczyx"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class ZarrImage:
    """An image of an OME-Zarr.

    Attributes:
        group: Of zarr.
        metadata: Its OME metadata, with one entry of "multiscales".
        name: Its path, or its name in the metadata; "" if it is the only one.
    """

    group: Any
    metadata: Mapping[str, Any]
    name: str


def is_zarr_folder(path: Path) -> bool:
    """Whether a folder is a Zarr group by what is in it; raises OSError where it cannot be seen."""
    return path.is_dir() and any((path / name).is_file() for name in METADATA_FILES)


def ome_metadata(group: Any) -> dict[str, Any]:
    """The OME metadata: below "ome" since 0.5, at the top before; axes as they are since 0.4.

    Raises:
        UserError: They are of a later version, whose axes are elsewhere.
    """
    attributes = dict(group.attrs)
    metadata = dict(attributes.get("ome", attributes))
    multiscales = metadata.get("multiscales")
    if isinstance(multiscales, list):
        metadata["multiscales"] = [_in_order(entry) for entry in multiscales]
    return metadata


def _in_order(multiscale: Any) -> Any:
    """Bring metadata of OME-Zarr 0.1 to 0.3 to the form of 0.4, and sort levels by size.

    Axes were plain names in 0.3, and always the same five, unnamed, in 0.1 and 0.2. The finest
    level should come first, but does not in every file.
    """
    if not isinstance(multiscale, dict):
        return multiscale
    if "coordinateSystems" in multiscale and "axes" not in multiscale:
        raise UserError("OME-Zarr 0.6 cannot be read; save it as 0.5.")
    axes = multiscale.get("axes", list(_EARLIER_AXES))
    described = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]
    if "datasets" not in multiscale:
        return {**multiscale, "axes": described}
    levels = finest_first(multiscale["datasets"], described)
    return {**multiscale, "axes": described, "datasets": levels}


def zarr_images(group: Any, name: str) -> list[ZarrImage]:
    """List the images in a group, in the order of its metadata. Segmentations do not count.

    Raises:
        UserError: There is none.
    """
    metadata = ome_metadata(group)
    if "image-label" in metadata:
        raise UserError(f"{name} is a segmentation, not an image.")
    if metadata.get("multiscales"):
        return list(_entries(ZarrImage(group, metadata, "")))
    if "plate" in metadata:
        found = list(_of_plate(group, metadata["plate"]))
    elif "well" in metadata:
        found = [_image(group, str(i["path"]), metadata) for i in metadata["well"]["images"]]
    else:
        found = list(_scenes(group, metadata))
    found = [
        entry
        for image in found
        if image.metadata.get("multiscales") and "image-label" not in image.metadata
        for entry in _entries(image)
    ]
    if not found:
        below = _below(group)
        if below:
            shown = ", ".join(below[:_MOST_SHOWN]) + (" ..." if len(below) > _MOST_SHOWN else "")
            raise UserError(f"{name} has no image itself but holds {shown}; open one of these.")
        raise UserError(f"{name} is a Zarr folder without OME-Zarr image metadata.")
    return found


def _below(group: Any) -> list[str]:
    """Paths of the images in a store of SpatialData, which has them in the group "images"."""
    import zarr

    inside = group.get("images")
    images = _scenes(inside, {}) if isinstance(inside, zarr.Group) else ()
    return [f"images/{image.name}" for image in images if image.metadata.get("multiscales")]


def _entries(image: ZarrImage) -> Iterator[ZarrImage]:
    """The images of a group, which may list several; pyramids of the same pixels are one."""
    listed: dict[str, Any] = {}
    for entry in image.metadata["multiscales"]:
        listed.setdefault(str(entry["datasets"][0]["path"]), entry)
    for entry in listed.values():
        own = str(entry.get("name") or entry["datasets"][0]["path"]) if len(listed) > 1 else ""
        name = "/".join(filter(None, (image.name, own)))
        yield ZarrImage(image.group, {**image.metadata, "multiscales": [entry]}, name)


def _of_plate(group: Any, plate: Mapping[str, Any]) -> Iterator[ZarrImage]:
    for well in plate["wells"]:
        path = str(well["path"])
        if path not in group:
            continue  # a plate names wells that were never imaged
        inside = group[path]
        metadata = ome_metadata(inside)
        for image in metadata.get("well", {}).get("images", ()):
            yield _image(group, f"{path}/{image['path']}", metadata)


def _scenes(group: Any, metadata: Mapping[str, Any]) -> Iterator[ZarrImage]:
    """Scenes of bioformats2raw by its own list or by number; else all groups that are images."""
    series: list[str] = []
    names: list[str] = []
    if "OME" in group:
        ome = group["OME"]
        series = [str(s) for s in ome_metadata(ome).get("series", ())]
        names = ome_image_names(_xml_of(ome))
    if not series:
        series = sorted((str(key) for key in group.group_keys() if key != "OME"), key=_by_number)
    for index, path in enumerate(series[:_MOST_IMAGES]):
        if path in group:
            image = _image(group, path, metadata)
            named = len(names) == len(series) and names[index]
            yield ZarrImage(image.group, image.metadata, names[index]) if named else image


def _image(group: Any, path: str, above: Mapping[str, Any]) -> ZarrImage:
    inside = group[path]
    version = {"version": above["version"]} if "version" in above else {}
    import zarr

    attributes = ome_metadata(inside) if isinstance(inside, zarr.Group) else {}
    return ZarrImage(inside, {**version, **attributes}, path)


def _xml_of(ome: Any) -> str:
    """METADATA.ome.xml beside the scenes, "" where there is none."""
    try:
        path = Path(ome.store.root) / ome.path / "METADATA.ome.xml"
        return path.read_text("utf-8") if path.stat().st_size <= _LONGEST_XML else ""
    except (AttributeError, OSError, UnicodeDecodeError):
        return ""


def _by_number(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if _NUMBER.fullmatch(name) else (1, 0, name)


def describe_images(images: Sequence[ZarrImage]) -> tuple[SlideImage, ...]:
    """Facts for people, by the metadata and the shape of the finest level of each image."""
    shapes = [dict(zip(*reversed(finest_shape(image)), strict=True)) for image in images]
    largest = max(sizes["x"] * sizes["y"] for sizes in shapes)
    found = []
    for image, sizes in zip(images, shapes, strict=True):
        multiscale = image.metadata["multiscales"][0]
        planes = count_planes([(a, n) for a, n in sizes.items() if a not in "yxc"])
        role = role_of_name(image.name.rpartition("/")[2], sizes["x"] * sizes["y"] / largest)
        name = image.name or str(multiscale.get("name") or "")
        mpp = zarr_mpp(multiscale)[0]
        found.append(SlideImage(name, sizes["x"], sizes["y"], role, mpp, planes))
    return numbered(found)


def finest_shape(image: ZarrImage) -> tuple[tuple[int, ...], list[str]]:
    """Shape and names of the axes of the finest level.

    Raises:
        UserError: There are more or fewer names than axes.
    """
    multiscale = image.metadata["multiscales"][0]
    array = image.group[multiscale["datasets"][0]["path"]]
    names = [axis["name"].lower() for axis in multiscale["axes"]]
    if len(names) != array.ndim:
        raise UserError(
            f"An OME-Zarr is damaged: its axes {', '.join(names)} do not fit its array."
        )
    return tuple(array.shape), names
