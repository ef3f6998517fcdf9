"""Configurations that scripts make say which value is of a wrong type."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.classify.relearn.config import RelearnConfig
from muse_core.detect import DetectConfig
from muse_core.errors import UserError
from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.field_types import require_field_types
from muse_core.finetune import FinetuneConfig
from muse_core.finetune.config import (
    AdaptConfig,
    ConsistencyConfig,
    DistillationConfig,
    LossConfig,
    ViewConfig,
)
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.pretrain.config import (
    AppearanceConfig,
    LossesConfig,
    PretrainConfig,
    ProbeSetsConfig,
    ScheduleConfig,
    ViewsConfig,
)

CONFIGS: list[tuple[type[Any], dict[str, Any]]] = [
    (DetectConfig, {}),
    (RelearnConfig, {}),
    (ProbeConfig, {}),
    (FinetuneConfig, {"out": "model.safetensors"}),
    *((c, {}) for c in (AdaptConfig, ConsistencyConfig, DistillationConfig, LossConfig)),
    *((c, {}) for c in (ViewConfig, BackboneConfig, HeadConfig, ModelConfig)),
    (PretrainConfig, {"rois": "rois", "out": "out"}),
    (ProbeSetsConfig, {"train": "train", "test": "test", "mpp": 0.5}),
    *((c, {}) for c in (AppearanceConfig, LossesConfig, ScheduleConfig, ViewsConfig)),
]
WRONG = (object(), {"a"}, [None])


@pytest.mark.parametrize(("cls", "given"), CONFIGS, ids=[c.__name__ for c, _ in CONFIGS])
def test_a_value_of_a_wrong_type_is_one_sentence(cls: type[Any], given: dict[str, Any]) -> None:
    for name, wrong in product((f.name for f in fields(cls)), WRONG):
        with pytest.raises(UserError, match=rf"^{name} is .*; it must be .*\.$"):
            cls(**(given | {name: wrong}))


@dataclass(frozen=True)
class _Settings:
    side_px: int = 1
    rate: float = 0.5
    rotate: bool = False
    file: Path | None = None
    zoom: tuple[float, float] = (1.0, 2.0)
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_field_types(self)


def test_a_whole_number_of_any_size_is_one() -> None:
    assert _Settings(side_px=10**400).side_px == 10**400


def test_values_of_numpy_and_texts_become_pythons() -> None:
    given: dict[str, Any] = {"side_px": np.int64(3), "rate": np.float32(0.25), "file": "a/b"}
    made = _Settings(**given, zoom=[np.float64(1), 2], channels=[0, 1, 2])  # type: ignore[arg-type]
    assert made == _Settings(3, 0.25, False, Path("a/b"), (1.0, 2), (0, 1, 2))
    assert json.dumps(asdict(made) | {"file": None})
    assert type(made.side_px) is int
    assert type(made.zoom[0]) is float


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"side_px": 1.5}, "side_px is 1.5; it must be a whole number."),
        ({"side_px": "512"}, "side_px is '512'; it must be a whole number."),
        ({"side_px": True}, "side_px is True; it must be a whole number."),
        ({"rate": np.bool_(True)}, "rate is np.True_; it must be a finite number."),
        ({"rate": float("nan")}, "rate is nan; it must be a finite number."),
        ({"rate": 10**400}, f"rate is 1{'0' * 59}...; it must be a finite number."),
        ({"rate": 1 + 2j}, "rate is (1+2j); it must be a finite number."),
        ({"rotate": "no"}, "rotate is 'no'; it must be True or False."),
        ({"file": 3}, "file is 3; it must be a path or None."),
        ({"zoom": 1.5}, "zoom is 1.5; it must be a sequence of 2, each a finite number."),
        (
            {"zoom": (1, 2, 3)},
            "zoom is (1, 2, 3); it must be a sequence of 2, each a finite number.",
        ),
        ({"channels": "64"}, "channels is '64'; it must be a sequence, each a whole number."),
        ({"rate": "x" * 100}, f"rate is 'x{'x' * 58}...; it must be a finite number."),
    ],
)
def test_the_sentence_says_what_it_must_be(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        _Settings(**given)
    assert str(caught.value) == sentence
