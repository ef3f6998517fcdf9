"""Configuration of a model's architecture, as the model card has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from muse_core.errors import UserError
from muse_core.field_types import require_field_types

_MOST_CHANNELS = 2048
_LARGEST_INPUT_PX = 4096
"""A card is read before the weights are: what it asks for must fit into memory."""


MAP_STRIDES_PX = (4, 8)
SURROUNDINGS_GRID_PX = 16
"""Spacing of the grid on which means of the surroundings are computed."""


def _is_count(value: int, most: int) -> bool:
    return 1 <= value <= most


def _check_channels(name: str, channels: tuple[int, ...] | None, n: int) -> None:
    if channels is not None and not (
        len(channels) == n and all(_is_count(c, _MOST_CHANNELS) for c in channels)
    ):
        number = {3: "three", 4: "four"}[n]
        raise UserError(
            f"{name} needs {number} whole numbers from 1 to {_MOST_CHANNELS}, one for each stride."
        )


@dataclass(frozen=True)
class BackboneConfig:
    """Architecture of a MuseBackbone.

    Attributes:
        encoder: Name of a timm model: a ``features_only`` convolutional encoder or a ViT.
        encoder_channels: Channels of a ResNet's four stages; None keeps timm's own. A ResNet of
            half the width has a quarter of the multiplications.
        decoder_channels: Channels of the encoder maps as the decoder sees them, from
            ``map_stride_px`` to stride 32. None keeps the encoder's own (paper, section
            "Backbone"); a narrower tuple passes each map through a 1x1 convolution first.
        hyper_channels: Channels each of these maps gives to the hyper-features, which ``f_map``
            joins.
        map_stride_px: Stride of ``f_map``, 4 (the paper's) or 8. With 8 the decoder ends there, and
            a cell of ``f_map`` has four anchors.
        align_corners: How maps are resized. True is the paper's; False makes the network commute
            with shifts by whole strides, so that tiles agree with the untiled image.
        input_px: Side of the images a ViT's position embeddings are stored for; None takes the timm
            model's own. Other sizes are possible, the embeddings are then resized.
        sampling_align_corners: How features are read at points. False is geometrically exact; the
            released MUSE weights need True, see :func:`muse_core.models.sampling.sample_at_points`.
        surroundings_channels: Number of channels of the surroundings, appended to ``f_map``; None
            for none. See :mod:`muse_core.models.surroundings`.
        surroundings_reach_px: Half the side of the square that counts, a multiple of 16.
        strided_stem: Whether a ResNet begins with two convolutions of stride 2, rather than with
            timm's three convolutions and a max pool, which take a third of a thin network's time.
    """

    encoder: str = "resnet10t"
    decoder_channels: tuple[int, ...] | None = (64, 64, 64, 64)
    hyper_channels: int = 64
    align_corners: bool = False
    input_px: int | None = None
    sampling_align_corners: bool = False
    encoder_channels: tuple[int, ...] | None = None
    map_stride_px: int = 4
    surroundings_channels: int | None = None
    surroundings_reach_px: int = 96
    strided_stem: bool = False

    def __post_init__(self) -> None:
        require_field_types(self)
        if self.map_stride_px not in MAP_STRIDES_PX:
            raise UserError("map_stride_px is 4 or 8.")
        _check_channels("encoder_channels", self.encoder_channels, 4)
        _check_channels("decoder_channels", self.decoder_channels, self.n_maps)
        if not _is_count(self.hyper_channels, _MOST_CHANNELS):
            raise UserError(f"hyper_channels is a whole number from 1 to {_MOST_CHANNELS}.")
        if self.surroundings_channels is not None and not _is_count(
            self.surroundings_channels, _MOST_CHANNELS
        ):
            raise UserError(f"surroundings_channels is a whole number from 1 to {_MOST_CHANNELS}.")
        reach = self.surroundings_reach_px
        if not _is_count(reach, _LARGEST_INPUT_PX) or reach % SURROUNDINGS_GRID_PX:
            raise UserError(f"surroundings_reach_px is a multiple of {SURROUNDINGS_GRID_PX}.")
        if self.input_px is not None and not _is_count(self.input_px, _LARGEST_INPUT_PX):
            raise UserError(f"input_px is a whole number from 1 to {_LARGEST_INPUT_PX}.")

    @property
    def n_maps(self) -> int:
        """Number of the encoder's four maps that the decoder sees."""
        return 4 - MAP_STRIDES_PX.index(self.map_stride_px)

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary, the inverse of :meth:`from_json`."""
        # Through text, so that tuples become lists here and not only once they come from a file.
        data: dict[str, object] = json.loads(json.dumps(asdict(self)))
        if self.surroundings_channels is None:
            # Without what is not there, older programs can read it.
            del data["surroundings_channels"], data["surroundings_reach_px"]
        if not self.strided_stem:
            del data["strided_stem"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BackboneConfig:
        """Rebuild a configuration; raises UserError when a field is unknown or mistyped."""
        try:
            values = dict(data)
            unknown = set(values) - {f.name for f in fields(cls)}
            if unknown:
                raise UserError(f"Unknown architecture field {sorted(unknown)[0]!r}.")
            return cls(**values)
        except (TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"The architecture in the model card is wrong: {error}.") from error


@dataclass(frozen=True)
class HeadConfig:
    """Architecture of the point head.

    Attributes:
        hidden_channels: Width of the hidden layers.
        dropout: Dropout before the class logits, 0 to 1.
        kernel: Side of the first convolution over ``f_map``, 1 or 3 cells.
        class_hidden_channels: Width of the class head's hidden layer; None takes
            ``hidden_channels``.
        n_maps: Number of the decoder's maps, from the finest, that the point head reads; None for
            all. The finest has information of all others, and to resize those takes time.
    """

    hidden_channels: int = 128
    dropout: float = 0.2
    kernel: int = 3
    class_hidden_channels: int | None = None
    n_maps: int | None = None

    def __post_init__(self) -> None:
        require_field_types(self)
        if not _is_count(self.hidden_channels, _MOST_CHANNELS) or not 0 <= self.dropout < 1:
            raise UserError(
                f"The point head needs hidden_channels from 1 to {_MOST_CHANNELS} and dropout in"
                " [0, 1)."
            )
        if self.kernel not in (1, 3):
            raise UserError("The kernel of the point head is 1 or 3.")
        wide = self.class_hidden_channels
        if wide is not None and not _is_count(wide, _MOST_CHANNELS):
            raise UserError(f"The class head needs from 1 to {_MOST_CHANNELS} hidden channels.")


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a MuseModel, apart from its classes.

    Attributes:
        backbone: What makes features of an image.
        head: What finds nuclei in them.
    """

    backbone: BackboneConfig = BackboneConfig()
    head: HeadConfig = HeadConfig()

    def __post_init__(self) -> None:
        require_field_types(self)
        n_maps = self.head.n_maps
        if n_maps is not None and not _is_count(n_maps, self.backbone.n_maps):
            raise UserError(f"The point head reads from 1 to {self.backbone.n_maps} maps.")

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary, the inverse of :meth:`from_json`."""
        # Without what is not given, older programs can read it.
        head = {k: v for k, v in asdict(self.head).items() if v is not None}
        return {"backbone": self.backbone.to_json(), "head": head}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a configuration; raises UserError when a field is missing or unknown."""
        try:
            return cls(BackboneConfig.from_json(data["backbone"]), HeadConfig(**data["head"]))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"The architecture in the model card is incomplete: {error}."
            ) from error


THIN = ModelConfig(
    BackboneConfig(
        encoder="resnet10t",
        encoder_channels=(32, 64, 128, 256),
        decoder_channels=(64, 96, 128),
        hyper_channels=96,
        map_stride_px=8,
        strided_stem=True,
    ),
    HeadConfig(kernel=1, dropout=0.0, n_maps=1),
)
"""A ResNet-10 of half width, decoded to stride 8: the bundled model's, for speed on processors."""
