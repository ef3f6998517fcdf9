from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import UnlabeledSource
from muse_core.finetune.data.unlabeled import read_unlabeled


def test_an_unknown_scale_is_to_be_given_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "tissue.png"
    Image.fromarray(np.full((80, 80, 3), 200, np.uint8)).save(path)
    with pytest.raises(UserError, match="--unlabeled PATH=MPP"):
        read_unlabeled([UnlabeledSource(path)], 0.5, 64, 1, 0)
