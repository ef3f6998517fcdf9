from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from muse_core.classify.class_head import read_class_head
from muse_core.errors import UserError
from muse_core.models.card import METADATA_KEY, read_card
from muse_core.models.checkpoint import load_model
from muse_core.models.registry import resolve_model


def test_it_is_the_head_of_the_network() -> None:
    path = resolve_model(None)
    head, model = read_class_head(path), load_model(path)
    features = np.random.default_rng(0).standard_normal((9000, head.n_features))
    features = features.astype(np.float16)
    with torch.inference_mode():
        theirs = model.class_head(torch.from_numpy(features).float()).numpy()
    np.testing.assert_allclose(head.logits(features), theirs, atol=2e-4)
    assert head.class_names == tuple(c["name"] for c in model.card.classes)


def test_a_head_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    source = resolve_model(None)
    tensors = load_file(source)
    card = {METADATA_KEY: read_card(source).to_text()}
    broken = tmp_path / "broken.safetensors"
    cut = {**tensors, "class_head.out.bias": np.zeros(7, np.float16)}
    save_file(cut, broken, metadata=card)
    with pytest.raises(UserError, match="do not fit the architecture in its card"):
        read_class_head(broken)
    save_file({k: v for k, v in tensors.items() if "class_head" not in k}, broken, metadata=card)
    with pytest.raises(UserError, match="is damaged"):
        read_class_head(broken)
