"""Student and teacher of pretraining."""

from __future__ import annotations

import pytest
import torch

from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig
from muse_core.models.encoders import VitEncoder
from muse_core.pretrain.config import LossesConfig
from muse_core.pretrain.network import DistillationNetwork, drop_blocks, make_teacher

from ..job_inputs import NARROW

LOSSES = LossesConfig(prototypes=24, image_prototypes=6, hidden_channels=8, bottleneck_channels=4)
VIT = BackboneConfig("vit_tiny_patch16_224", (8, 8, 8, 8), 8, input_px=32)


def _network(backbone: BackboneConfig) -> DistillationNetwork:
    torch.manual_seed(0)
    return DistillationNetwork(MuseBackbone(backbone), LOSSES)


@torch.no_grad()
def test_the_image_head_may_have_fewer_prototypes() -> None:
    network = _network(NARROW).eval()
    xy = torch.rand(3, 5, 2) * 64
    valid = torch.ones(3, 5, dtype=torch.bool)
    views, nuclei, _, _ = network([torch.rand(3, 3, 64, 64)], [xy], [valid])
    assert views.shape == (3, 6)
    assert nuclei.shape == (15, 24)


@torch.no_grad()
def test_a_student_leaves_out_blocks_in_training_and_its_teacher_none() -> None:
    student = _network(VIT)
    teacher = make_teacher(student)
    names = list(student.state_dict())
    drop_blocks(student, 0.5)
    assert list(student.state_dict()) == names
    image = torch.rand(8, 3, 32, 32)

    def vectors(network: DistillationNetwork) -> torch.Tensor:
        f_cls: torch.Tensor = network.backbone(image)[1]
        return f_cls

    expected = vectors(teacher.eval())
    assert torch.equal(vectors(student.eval()), expected)
    assert torch.equal(vectors(teacher.train()), expected)
    assert not torch.allclose(vectors(student.train()), expected)


def test_later_blocks_are_left_out_more_often() -> None:
    student = _network(VIT)
    drop_blocks(student, 0.22)
    encoder = student.backbone.encoder
    assert isinstance(encoder, VitEncoder)
    blocks = list(encoder.network.blocks)
    expected = [0.22 * i / 11 for i in range(12)]
    for block, share in zip(blocks, expected, strict=True):
        assert block.drop_path1.drop_prob == pytest.approx(share, abs=1e-6)
        assert block.drop_path2.drop_prob == pytest.approx(share, abs=1e-6)


@torch.no_grad()
def test_other_encoders_have_no_blocks_to_leave_out() -> None:
    student = _network(NARROW)
    drop_blocks(student, 0.9)
    image = torch.rand(2, 3, 64, 64)
    assert torch.equal(student.backbone(image)[0], student.backbone(image)[0])
