"""Convert released MUSE checkpoints (``.pth``) to model files.

A checkpoint is a pickled dictionary. It is read with ``weights_only=True``, which builds tensors
and containers and refuses everything that could run.
"""

from __future__ import annotations

import argparse
import math
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from muse_core.errors import UserError, cannot
from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import BACKBONE, ModelCard
from muse_core.models.checkpoint import save_backbone
from muse_core.models.registry import path_of_new_model
from muse_core.models.released import DEFAULT_MPP, LICENCE, RELEASED, SOURCE, ReleasedModel
from muse_core.ordinary import require_file

_PREFIX = "module.backbone."
_LARGEST_INPUT_PX = 2048
_PATCH_PX = 16
_RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"encoder\.encoder\.(.+)", lambda m: f"encoder.network.{m[1]}"),
    (r"decoder\.dim_map_layers\.(\d\..+)", lambda m: f"encoder.reassembly.{m[1]}"),
    (
        r"decoder\.decoder([123])\.first_block\.layer\.(.+)",
        lambda m: f"decoder.fusion.{3 - int(m[1])}.reduce.{m[2]}",
    ),
    (
        r"decoder\.decoder([123])\.last_block\.(conv[12])\.layer\.(.+)",
        lambda m: f"decoder.fusion.{3 - int(m[1])}.refine.{m[2]}.{m[3]}",
    ),
    (
        r"decoder\.hyper_feats\.conv_list\.(\d)\.layer\.(.+)",
        lambda m: f"decoder.hyper.{m[1]}.{m[2]}",
    ),
)


def import_released(
    path: str | Path,
    out: str | Path | None = None,
    mpp: float = DEFAULT_MPP,
    fov_px: int | None = None,
    name: str | None = None,
    expected: str | None = None,
) -> Path:
    """Turn a released checkpoint into a backbone's model file.

    Args:
        path: The ``.pth`` file.
        out: The ``.safetensors`` file to write; None writes to the user's models, by the model's
            name. Weights stay float32.
        mpp: Microns per pixel for the card.
        fov_px: Field of view for the card; None takes it from the position embeddings or, for a
            ResNet, from the file's name.
        name: Name for the card, and for the file if there is no out; None takes that of the
            released model.
        expected: Released model that the file has to be; None takes any.

    Returns:
        The file written.

    Raises:
        UserError: The file is missing, damaged, no such checkpoint, of another architecture, holds
            unexpected keys or objects that are no data; the field of view cannot be; or the target
            cannot be written.
    """
    source = Path(path)
    if fov_px is not None and not (64 <= fov_px <= 2048 and fov_px % 32 == 0):
        raise UserError("The field of view is a multiple of 32 pixels between 64 and 2048.")
    named = path_of_new_model(name) if out is None and name is not None else None
    weights = backbone_entries(read_teacher(source), source.name)
    released, input_px = recognise(weights, source.name, fov_px)
    if expected is not None and released.name != expected:
        raise UserError(f"{source.name} holds {released.name}, not {expected}; it was refused.")
    backbone = build_backbone(released, input_px, weights, source.name)
    card = ModelCard(
        name=name or released.name,
        architecture={"backbone": released.backbone(input_px).to_json()},
        mpp=mpp,
        fov_px=released.fov_px if fov_px is None else fov_px,
        classes=[],
        score_threshold=0.5,
        description="Backbone of MUSE (Yang et al., AAAI 2026), as released by its authors.",
        training={"source": SOURCE, "file": source.name},
        licence=LICENCE,
        created=datetime.now(UTC).date().isoformat(),
        kind=BACKBONE,
    )
    target = Path(out) if out is not None else named or path_of_new_model(card.name)
    save_backbone(backbone, card, target, half=False)
    return target


def read_teacher(path: Path) -> Mapping[str, Tensor]:
    """The teacher's weights in a checkpoint, read without running anything.

    Raises:
        UserError: See :func:`import_released`.
    """
    require_file(path)
    damaged = f"{path.name} is no torch checkpoint, or it is truncated."
    try:
        # Training scripts derived from DINO store their arguments beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # torch warns of older pickle formats; the error below says all that users need.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower() or _names_code(path):
            raise UserError(
                f"{path.name} holds objects other than weights, which could run code; it was"
                " refused and nothing in it was run."
            ) from error
        raise UserError(damaged) from error
    except OSError as error:
        raise cannot("read", path, error) from error
    except Exception as error:
        # The unpickler does what the bytes say, and raises whatever comes of it.
        raise UserError(damaged) from error
    teacher = content.get("teacher") if isinstance(content, Mapping) else None
    if not isinstance(teacher, Mapping):
        raise UserError(f"{path.name} is not a MUSE checkpoint: it has no entry 'teacher'.")
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in teacher.items()):
        raise UserError(f"{path.name} is not a MUSE checkpoint: 'teacher' holds no plain weights.")
    return teacher


def backbone_entries(teacher: Mapping[str, Tensor], file_name: str) -> dict[str, Tensor]:
    """The backbone's weights under this project's names; projection heads are left out.

    Raises:
        UserError: There are none, or one has an unexpected name.
    """
    entries: dict[str, Tensor] = {}
    for key, value in teacher.items():
        if key.startswith(_PREFIX):
            entries[_renamed(key, file_name)] = value
    if not entries:
        raise UserError(f"{file_name} is not a MUSE checkpoint: no key begins with {_PREFIX!r}.")
    return entries


def recognise(
    weights: Mapping[str, Tensor], file_name: str, fov_px: int | None = None
) -> tuple[ReleasedModel, int | None]:
    """Return the released architecture that has the given shapes.

    Args:
        weights: From :func:`backbone_entries`.
        file_name: The checkpoint's, which tells ResNets of 224 and 512 px apart.
        fov_px: If known, it decides in place of position embeddings and name.

    Returns:
        The released model, and for a ViT the image size its position embeddings are stored for.

    Raises:
        UserError: It is another architecture.
    """
    embedding = weights.get("encoder.network.pos_embed")
    input_px = None
    if embedding is not None:
        encoder = {384: "vit_small_patch16_224", 768: "vit_base_patch16_224"}.get(
            embedding.shape[-1]
        )
        patches = embedding.shape[1] - 1 if embedding.ndim == 3 else 0
        square = math.isqrt(max(patches, 0)) ** 2 == patches
        if not square or not 1 <= patches <= (_LARGEST_INPUT_PX // _PATCH_PX) ** 2:
            encoder = None
        input_px = _PATCH_PX * math.isqrt(max(patches, 0))
    else:
        encoder = "resnet50" if "encoder.network.conv1.weight" in weights else None
    large = 512 in (fov_px, input_px) or (fov_px is None and "512" in file_name)
    for released in RELEASED:
        if released.encoder == encoder and (released.fov_px == 512) == large:
            return released, input_px
    raise UserError(
        f"{file_name} is of another architecture than MUSE's ViT-S/16, ViT-B/16 and ResNet-50."
    )


def build_backbone(
    released: ReleasedModel, input_px: int | None, weights: Mapping[str, Tensor], file_name: str
) -> MuseBackbone:
    """The network with its weights, in evaluation mode.

    Raises:
        UserError: A weight is missing, unexpected, of another shape or not finite.
    """
    backbone = MuseBackbone(released.backbone(input_px))
    wanted = backbone.state_dict()
    for problem, keys in (
        ("lacks the weight", set(wanted) - set(weights)),
        ("holds the unexpected weight", set(weights) - set(wanted)),
    ):
        if keys:
            raise UserError(f"{file_name} {problem} {sorted(keys)[0]!r}; it was not imported.")
    for key, value in wanted.items():
        if weights[key].shape != value.shape:
            found, expected = tuple(weights[key].shape), tuple(value.shape)
            raise UserError(
                f"{file_name} is of another architecture:"
                f" {key!r} has shape {found}, not {expected}."
            )
        if not torch.isfinite(weights[key]).all():
            raise UserError(f"{file_name} is damaged: {key!r} holds values that are no numbers.")
    backbone.load_state_dict(dict(weights))
    return backbone.eval()


def _names_code(path: Path) -> bool:
    """Whether a bare pickle, which torch reads in its older format only, would import something.

    Its instructions are listed, not followed. In older versions of pickles any text has some.
    """
    try:
        with path.open("rb") as file:
            is_pickle = file.read(1) == pickle.PROTO
            file.seek(0)
            return is_pickle and any(
                code.name in ("GLOBAL", "STACK_GLOBAL", "INST")
                for code, _, _ in pickletools.genops(file)
            )
    except (ValueError, OSError, UnicodeDecodeError, EOFError):
        return False


def _renamed(key: str, file_name: str) -> str:
    rest = key.removeprefix(_PREFIX)
    for pattern, rename in _RULES:
        match = re.fullmatch(pattern, rest)
        if match:
            return rename(match)
    raise UserError(f"{file_name} holds the unexpected key {key!r}; it was not imported.")
