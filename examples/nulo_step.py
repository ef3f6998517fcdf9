"""One step of NuLo: student and teacher learn the same features of a nucleus in two views.

The two views may differ in scale, position and rotation, since nuclei are matched by index, not by
position.
"""

from __future__ import annotations

import copy

import torch

from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig
from muse_core.pretrain.losses import DinoHead, Sinkhorn, nulo_loss

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE, TEACHER_MOMENTUM = 0.1, 0.04, 0.996


class Network(torch.nn.Module):
    """A dense backbone, and a head that projects its features of nuclei."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MuseBackbone(BackboneConfig("resnet10t", (16, 16, 16, 16), 16))
        self.head = DinoHead(self.backbone.out_channels, n_outputs=128, hidden_channels=64)

    def forward(self, image: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
        """Project the nuclei at xy (1, N, 2), in pixels of image (1, 3, H, W), to (N, K)."""
        f_map, _ = self.backbone(image)
        size = (image.shape[-2], image.shape[-1])
        projected: torch.Tensor = self.head(self.backbone.sample(f_map, xy, size)[0])
        return projected


def main() -> None:
    """Make one step and print the loss."""
    torch.manual_seed(0)
    student = Network()
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4)

    roi = torch.rand(1, 3, 128, 128)
    nuclei = torch.rand(1, 20, 2) * 128
    flipped = torch.stack([128 - nuclei[..., 0], nuclei[..., 1]], dim=-1)

    targets = Sinkhorn(mean=lambda t: t).sharpen(teacher(roi, nuclei), TEACHER_TEMPERATURE)
    outputs = student(roi.flip(-1), flipped)
    pair, pair_size = torch.zeros(20, dtype=torch.int64), torch.tensor([20])
    loss = nulo_loss(targets, outputs, pair, pair_size, 1.0, STUDENT_TEMPERATURE)
    loss.backward()
    optimizer.step()
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast.detach(), 1 - TEACHER_MOMENTUM)
    print(f"NuLo {loss.item():.3f}")


if __name__ == "__main__":
    main()
