from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from muse_core.errors import UserError
from muse_core.models.numpy_weights import read_weights


def test_tensors_come_in_the_order_of_their_names_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.tensor([1.5]).half(), "b": torch.tensor([[2.0, 3.0]])}, path)
    b, a = read_weights(path, ("b", "a"))
    assert a.dtype == b.dtype == np.dtype(np.float32)
    assert (b.tolist(), a.tolist()) == ([[2.0, 3.0]], [1.5])


def test_a_file_that_lacks_one_or_is_cut_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"^m\.safetensors is damaged: .*c"):
        read_weights(path, ("a", "c"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"^m\.safetensors is damaged: "):
        read_weights(path, ("a",))
