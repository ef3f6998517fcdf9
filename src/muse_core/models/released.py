"""The six backbones that the authors of MUSE released, by name. Imports no torch.

Source: Yang et al., AAAI 2026; weights under Apache-2.0 on the Hugging Face Hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from muse_core.models.config import BackboneConfig

REPOSITORY = "Alibaba-DAMO-Academy/MUSE"
LICENCE = "Apache-2.0"
SOURCE = f"https://huggingface.co/{REPOSITORY}"
DEFAULT_MPP = 0.5
"""The weights were trained on 0.25 to 0.5 um/px and evaluated at both; 0.5 needs fewer tiles."""


@dataclass(frozen=True)
class ReleasedModel:
    """A released checkpoint.

    Attributes:
        name: The model's name here.
        stem: The checkpoint's file name without ``.pth``.
        encoder: timm name of its encoder.
        hyper_channels: A quarter of its feature map's channels.
        fov_px: Side of the images it was trained on, in pixels.
    """

    name: str
    stem: str
    encoder: str
    hyper_channels: int
    fov_px: int

    def backbone(self, input_px: int | None) -> BackboneConfig:
        """Its architecture, with position embeddings stored for images of ``input_px``."""
        return BackboneConfig(
            encoder=self.encoder,
            decoder_channels=None,
            hyper_channels=self.hyper_channels,
            align_corners=True,
            input_px=input_px,
            sampling_align_corners=True,
        )


RELEASED = (
    ReleasedModel("muse-r50", "r50-224", "resnet50", 256, 224),
    ReleasedModel("muse-vit-s16", "vit_s_16-224", "vit_small_patch16_224", 96, 224),
    ReleasedModel("muse-vit-b16", "vit_b_16-224", "vit_base_patch16_224", 192, 224),
    ReleasedModel("lfov-muse-r50", "r50-512", "resnet50", 256, 512),
    ReleasedModel("lfov-muse-vit-s16", "vit_s_16-512", "vit_small_patch16_224", 96, 512),
    ReleasedModel("lfov-muse-vit-b16", "vit_b_16-512", "vit_base_patch16_224", 192, 512),
)
