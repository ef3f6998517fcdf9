"""MuseBackbone: an image to a dense feature map and an image vector."""

from __future__ import annotations

from torch import Tensor, nn

from muse_core.errors import UserError
from muse_core.models.config import BackboneConfig
from muse_core.models.decoder import Decoder
from muse_core.models.encoders import build_encoder, normalise
from muse_core.models.sampling import sample_at_points
from muse_core.models.surroundings import Surroundings

STRIDE_PX = 4
"""Distance of neighbouring anchors, whatever the stride of ``f_map``."""
SIDE_MULTIPLE_PX = 16


class MuseBackbone(nn.Module):
    """Encoder and decoder of MUSE (Yang et al., AAAI 2026, section "Backbone").

    Attributes:
        out_channels: Channels of ``f_map``.
        own_channels: Number of channels of the decoder, which come first; the others describe
            the surroundings, see :mod:`muse_core.models.surroundings`.
        cls_channels: Length of ``f_cls``.
        map_stride_px: Stride s of ``f_map``, see BackboneConfig.
        sampling_align_corners: How features are to be read at points, see BackboneConfig.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(
            config.encoder,
            config.align_corners,
            config.input_px,
            config.encoder_channels,
            config.strided_stem,
        )
        channels = self.encoder.channels[-config.n_maps :]
        wanted = config.decoder_channels
        self.narrow = (
            nn.ModuleList(nn.Identity() for _ in channels)
            if wanted is None
            else nn.ModuleList(
                nn.Sequential(nn.Conv2d(c, w, 1, bias=False), nn.BatchNorm2d(w))
                for c, w in zip(channels, wanted, strict=True)
            )
        )
        self.decoder = Decoder(wanted or channels, config.hyper_channels, config.align_corners)
        self.own_channels = self.decoder.out_channels
        self.out_channels = self.own_channels + (config.surroundings_channels or 0)
        self.surroundings = _surroundings(config, self.own_channels)
        self.cls_channels = self.encoder.cls_channels
        self.map_stride_px = config.map_stride_px
        self.sampling_align_corners = config.sampling_align_corners

    def channels_of(self, n_maps: int | None) -> int:
        """Number of channels of the finest ``n_maps`` decoder maps in ``f_map``; None for all."""
        n_all = len(self.decoder.hyper)
        return self.own_channels // n_all * (n_maps or n_all)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features.

        Args:
            image: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 16.

        Returns:
            ``f_map`` (B, out_channels, H/s, W/s) and ``f_cls`` (B, cls_channels).

        Raises:
            UserError: A side is not a multiple of 16.
        """
        return self.features(normalise(image))

    def features(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features of normalised images; see :meth:`forward`.

        Args:
            normalised: (B, 3, H, W) float, of ImageNet's mean and deviation.
        """
        own, f_cls = self.own_features(normalised)
        return self.surroundings(own), f_cls

    def own_features(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the first ``own_channels`` of ``f_map`` alone."""
        fused, f_cls = self.fused_maps(normalised)
        return self.decoder.joined(fused), f_cls

    def fused_maps(self, normalised: Tensor) -> tuple[list[Tensor], Tensor]:
        """The decoder's maps, from stride s to 32, of which ``f_map`` is made, and ``f_cls``."""
        maps, f_cls = self.encoder_maps(normalised)
        return self.decoder.fused(maps), f_cls

    def encoder_maps(self, normalised: Tensor) -> tuple[list[Tensor], Tensor]:
        """The encoder's maps as the decoder sees them, from stride s to 32, and ``f_cls``."""
        if any(side % SIDE_MULTIPLE_PX for side in normalised.shape[-2:]):
            raise UserError(f"Image sides must be multiples of {SIDE_MULTIPLE_PX} pixels.")
        maps, f_cls = self.encoder(normalised)
        seen = maps[-len(self.narrow) :]
        return [narrow(x) for narrow, x in zip(self.narrow, seen, strict=True)], f_cls

    def sample(self, f_map: Tensor, xy: Tensor, size_px: tuple[int, int]) -> Tensor:
        """Features of nuclei, read the way these weights were trained with.

        Args:
            f_map: (B, out_channels, H/s, W/s), from :meth:`forward`.
            xy: (B, N, 2) float, x and y in image pixels.
            size_px: H and W.

        Returns:
            (B, N, out_channels) float32.
        """
        return sample_at_points(f_map, xy, size_px, self.sampling_align_corners)


def _surroundings(config: BackboneConfig, channels: int) -> nn.Module:
    added = config.surroundings_channels
    if added is None:
        return nn.Identity()
    return Surroundings(channels, added, config.surroundings_reach_px, config.map_stride_px)
