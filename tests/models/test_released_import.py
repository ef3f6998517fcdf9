from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_backbone, load_model
from muse_core.models.released_import import backbone_entries, import_released, recognise

from .released_checkpoint import random_backbone, teacher_of, write_checkpoint


@pytest.fixture(scope="module")
def original() -> MuseBackbone:
    return random_backbone("vit_s_16-224")


@pytest.fixture
def teacher(original: MuseBackbone) -> dict[str, Tensor]:
    return teacher_of(original)


@pytest.fixture(scope="module")
def checkpoint(original: MuseBackbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("released") / "vit_s_16-224.pth"
    return write_checkpoint(path, teacher_of(original))


def test_an_imported_backbone_computes_the_same(
    checkpoint: Path, original: MuseBackbone, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    assert import_released(checkpoint, out) == out
    card = read_card(out)
    assert (card.name, card.kind, card.mpp, card.fov_px) == ("muse-vit-s16", "backbone", 0.5, 224)
    assert card.licence == "Apache-2.0"
    assert "huggingface.co/Alibaba-DAMO-Academy/MUSE" in card.training["source"]
    backbone, _ = load_backbone(out)
    assert backbone.sampling_align_corners
    image = torch.rand(1, 3, 96, 128)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(image), original(image), rtol=0, atol=0)


def test_a_backbone_does_not_load_as_a_detection_model(checkpoint: Path, tmp_path: Path) -> None:
    import_released(checkpoint, tmp_path / "m.safetensors")
    with pytest.raises(UserError, match="is a backbone"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("width", "patches", "file_name", "expected", "input_px"),
    [
        (384, 196, "a.pth", "muse-vit-s16", 224),
        (768, 196, "a.pth", "muse-vit-b16", 224),
        (384, 1024, "a.pth", "lfov-muse-vit-s16", 512),
        (768, 1024, "a.pth", "lfov-muse-vit-b16", 512),
        (768, 196, "vit_b_16-512.pth", "lfov-muse-vit-b16", 224),
        (None, 0, "r50-224.pth", "muse-r50", None),
        (None, 0, "r50-512.pth", "lfov-muse-r50", None),
    ],
)
def test_architectures_are_recognised_from_shapes(
    width: int | None, patches: int, file_name: str, expected: str, input_px: int | None
) -> None:
    weights = (
        {"encoder.network.conv1.weight": torch.zeros(64, 3, 7, 7)}
        if width is None
        else {"encoder.network.pos_embed": torch.zeros(1, patches + 1, width)}
    )
    released, size = recognise(weights, file_name)
    assert (released.name, size) == (expected, input_px)


def _set(key: str, value: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda teacher: teacher.update({f"module.backbone.{key}": value})


_QKV = "encoder.encoder.blocks.0.attn.qkv.bias"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set("encoder.encoder.pos_embed", torch.zeros(1, 197, 192)), "of another architecture"),
        (_set("encoder.encoder.pos_embed", torch.zeros(1, 200, 384)), "of another architecture"),
        (_set(_QKV, torch.zeros(7)), r"has shape \(7,\), not \(1152,\)"),
        (_set(_QKV, torch.full((1152,), torch.nan)), "no numbers"),
        (_set("decoder.decoder9.bias", torch.zeros(1)), "unexpected key.*decoder9"),
        (_set("encoder.encoder.blocks.12.norm1.bias", torch.zeros(1)), "unexpected weight"),
        (lambda t: t.pop(f"module.backbone.{_QKV}"), "lacks the weight"),
        (lambda t: t.clear(), "no key begins with"),
    ],
)
def test_wrong_weights_are_refused_with_a_sentence(
    teacher: dict[str, Tensor],
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], object],
    sentence: str,
) -> None:
    change(teacher)
    path = write_checkpoint(tmp_path / "c.pth", teacher)
    with pytest.raises(UserError, match=sentence):
        import_released(path, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("share", [0.0, 1e-7, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(checkpoint: Path, tmp_path: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    path = tmp_path / "c.pth"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="truncated"):
        import_released(path, tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"model": {}}, "no entry 'teacher'"),
        ([1, 2], "no entry 'teacher'"),
        ({"teacher": {"a": 1}}, "no plain weights"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path: Path, content: object, sentence: str) -> None:
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(UserError, match=sentence):
        import_released(tmp_path / "c.pth", tmp_path / "m.safetensors")


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("in_zip", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, in_zip: bool) -> None:
    path, trace = tmp_path / "c.pth", tmp_path / "executed"
    content = {"teacher": {"module.backbone.x": torch.zeros(1)}, "args": _Malicious(trace)}
    if in_zip:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content["args"]))
    with pytest.raises(UserError, match="could run code"):
        import_released(path, tmp_path / "m.safetensors")
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [b"text", b"id,x,y\n1,2,3\n", b"\x80\x02.", b"PK\x03\x04 no zip"]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"^c\.pth is (no torch|not a MUSE) checkpoint"):
        import_released(tmp_path / "c.pth", tmp_path / "m.safetensors")
    with pytest.raises(UserError, match="no file"):
        import_released(tmp_path / "none.pth", tmp_path / "m.safetensors")


def test_heads_are_dropped(teacher: dict[str, Tensor]) -> None:
    assert not any("head" in key for key in backbone_entries(teacher, "c.pth"))
