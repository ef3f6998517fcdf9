from __future__ import annotations

import pytest
import torch

from muse_core.errors import UserError
from muse_core.models.device import autocast_for, choose_device, samples_features
from muse_core.processor import emulates_bfloat16


def test_auto_is_the_best_that_there_is() -> None:
    expected = "cpu"
    if torch.backends.mps.is_available() and samples_features("mps", True):
        expected = "mps"
    if torch.cuda.is_available():
        expected = "cuda"
    assert choose_device("auto").type == expected


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_refused_naming_what_is_usable() -> None:
    with pytest.raises(UserError, match=r"'cuda' is not available here; usable: .*cpu"):
        choose_device("cuda")


@pytest.mark.skipif(samples_features("mps", False), reason="the models can be computed on MPS here")
def test_an_mps_that_cannot_compute_the_models_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As on a Mac with an older torch: the device exists, but its operators are missing.
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose_device("auto").type != "mps"
    with pytest.raises(
        UserError, match=r"cannot compute the models on .*'mps'.* choose from .*cpu"
    ):
        choose_device("mps")


def test_the_cpu_samples_features_also_where_gradients_are_off() -> None:
    samples_features.cache_clear()
    with torch.inference_mode():
        assert samples_features("cpu", True)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UserError, match="choose from auto, cpu, cuda, mps"):
        choose_device("tpu")


def test_autocast_on_the_cpu_gives_bfloat16_where_there_are_kernels_for_it() -> None:
    layer = torch.nn.Conv2d(3, 4, 3)
    with torch.inference_mode(), autocast_for(torch.device("cpu")):
        out = layer(torch.zeros(1, 3, 8, 8))
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported() and not emulates_bfloat16()
    assert out.dtype == (torch.bfloat16 if supported else torch.float32)
