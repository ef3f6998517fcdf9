"""MuseBackbone: an image to a dense feature map and an image vector."""

from __future__ import annotations

from torch import Tensor, nn

from muse_core.errors import UserError
from muse_core.models.config import BackboneConfig
from muse_core.models.decoder import Decoder
from muse_core.models.encoders import build_encoder, normalise

STRIDE_PX = 4
SIDE_MULTIPLE_PX = 32


class MuseBackbone(nn.Module):
    """Encoder and decoder of MUSE (Yang et al., AAAI 2026, section "Backbone").

    Attributes:
        out_channels: Channels of ``f_map``.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.encoder, config.align_corners)
        channels = self.encoder.channels
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
        self.out_channels = self.decoder.out_channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features.

        Args:
            image: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 32.

        Returns:
            ``f_map`` (B, out_channels, H/4, W/4) and ``f_cls`` (B, C).

        Raises:
            UserError: A side is not a multiple of 32.
        """
        if image.shape[-1] % SIDE_MULTIPLE_PX or image.shape[-2] % SIDE_MULTIPLE_PX:
            raise UserError("Image sides must be multiples of 32 pixels.")
        maps, f_cls = self.encoder(normalise(image))
        narrowed = [narrow(x) for narrow, x in zip(self.narrow, maps, strict=True)]
        return self.decoder(narrowed), f_cls
