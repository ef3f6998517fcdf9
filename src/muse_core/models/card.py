"""The model card: what a model is, where it came from and how good it is.

Read without torch, so that a viewer can list models at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from muse_core.errors import UserError, cannot
from muse_core.files import check_writable
from muse_core.mpp_range import MAX_MPP, MIN_MPP
from muse_core.ordinary import require_file

MODEL_SUFFIX = ".safetensors"
METADATA_KEY = "muse_model_card"
DETECTOR = "detector"
BACKBONE = "backbone"
# safetensors itself allows headers of 100 MB; a card is a few kilobytes.
_MAX_HEADER_BYTES = 8_000_000


@dataclass(frozen=True)
class ModelCard:
    """Metadata of a model, stored in its safetensors file.

    Attributes:
        name: Short name, shown to users and written to tables.
        architecture: A ModelConfig as JSON; of a backbone, only its part "backbone".
        mpp: Microns per pixel of the images the network expects.
        fov_px: Side of the training crops in pixels.
        classes: A ClassScheme as JSON; empty for a backbone.
        score_threshold: Nucleus probability from which a proposal counts, 0 to 1.
        description: A sentence or two for users.
        training: Data, settings, seed.
        metrics: Figures and the data they were measured on.
        parent: Name of the model this one was trained from, or None.
        licence: SPDX identifier of the weights.
        created: ISO 8601 date.
        format_version: Version of this card's layout.
        kind: "detector" for a network that finds and classifies nuclei, "backbone" for one that
            only computes features.
    """

    name: str
    architecture: dict[str, Any]
    mpp: float
    fov_px: int
    classes: list[dict[str, str]]
    score_threshold: float
    description: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    licence: str = "Apache-2.0"
    created: str = ""
    format_version: int = 1
    kind: str = DETECTOR

    def __post_init__(self) -> None:
        if self.format_version != 1:
            raise UserError(
                f"This model has a card of version {self.format_version}; update napari-muse."
            )
        if not isinstance(self.name, str) or not self.name.strip():
            raise UserError("A model card needs a name.")
        if type(self.fov_px) is not int or self.fov_px < 1:
            raise UserError("A model card needs a field of view in whole pixels.")
        if not isinstance(self.architecture, Mapping):
            raise UserError("A model card needs an architecture.")
        if not isinstance(self.classes, list) or not all(_is_class(c) for c in self.classes):
            raise UserError("A model card needs a list of classes, each with name and colour.")
        if not isinstance(self.mpp, int | float) or not MIN_MPP <= self.mpp <= MAX_MPP:
            raise UserError(f"A model card needs an mpp from {MIN_MPP:g} to {MAX_MPP:g}.")
        if not 0 <= self.score_threshold <= 1:
            raise UserError("The score threshold of a model card lies between 0 and 1.")
        if self.kind not in (DETECTOR, BACKBONE):
            raise UserError(f"Unknown kind of model {self.kind!r}; update napari-muse.")

    def require_detector(self) -> None:
        """Raises UserError unless the model finds and classifies nuclei."""
        if self.kind != DETECTOR:
            raise UserError(
                f"{self.name} is a backbone: it computes features of nuclei but does not find them."
                " Choose a detection model, or train one from it with muse finetune."
            )
        if not self.classes:
            raise UserError(f"The model {self.name} has no classes.")

    def to_text(self) -> str:
        """The card as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> ModelCard:
        """Parse JSON text; raises UserError when it is not a card."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"The model card is not JSON: {error}.") from error
        if not isinstance(data, Mapping):
            raise UserError("The model card is not a JSON object.")
        known = {f.name for f in fields(cls)}
        try:
            return cls(**{k: v for k, v in data.items() if k in known})
        except (TypeError, OverflowError) as error:
            raise UserError(f"The model card is incomplete or wrong: {error}.") from error


def _is_class(entry: object) -> bool:
    return isinstance(entry, Mapping) and all(
        isinstance(entry.get(key), str) for key in ("name", "color")
    )


def read_card(path: str | Path) -> ModelCard:
    """Read the card from a model file's header only.

    Raises:
        UserError: The file is missing, is not safetensors, or carries no model card.
    """
    source = Path(path)
    header = _read_header(source)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, Mapping) or METADATA_KEY not in metadata:
        raise UserError(
            f"{source.name} is a safetensors file but not a MUSE model: it has no card."
        )
    return ModelCard.from_text(str(metadata[METADATA_KEY]))


def check_model_target(path: str | Path, unlike: str | Path | None = None) -> Path:
    """Make sure a model can be written to a file, before the work; leaves no trace.

    A model replaces no other kind of file: a slip of the hand would cost annotations or a slide.

    Args:
        path: The file to be.
        unlike: An input file that must not be overwritten.

    Returns:
        The path.

    Raises:
        UserError: It cannot be written, is the input, is there already and no model, or has
            another ending than models are found by.
    """
    target = check_writable(path, unlike=unlike, read_again=True)
    if target.exists() and target.stat().st_size:
        try:
            read_card(target)
        except UserError as error:
            raise UserError(
                f"Cannot write {target}: it is there already and no model; choose another name."
            ) from error
    if target.suffix.lower() != MODEL_SUFFIX:
        raise UserError(
            f"Cannot write {target}: the name of a model's file ends in {MODEL_SUFFIX}."
        )
    return target


def _read_header(path: Path) -> dict[str, Any]:
    refusal = f"{path.name} is not a MUSE model: it is not a complete safetensors file."
    if not path.is_file():
        raise UserError(f"There is no model file {path}.")
    require_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            if len(start) < 8 or size > min(_MAX_HEADER_BYTES, path.stat().st_size):
                raise UserError(refusal)
            header = json.loads(file.read(size))
    except OSError as error:
        raise cannot("read", path, error) from error
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(refusal) from error
    if not isinstance(header, dict):
        raise UserError(refusal)
    return header
