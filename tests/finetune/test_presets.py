from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from muse_core.config_file import with_settings
from muse_core.errors import UserError
from muse_core.finetune.config import (
    AdaptConfig,
    ConsistencyConfig,
    DistillationConfig,
    FinetuneConfig,
    LossConfig,
    ViewConfig,
)
from muse_core.finetune.inputs import LabelSet, StoreSource, UnlabeledSource
from muse_core.finetune.presets import PRESETS, read_finetune_config, resolved
from muse_core.models.config import THIN
from muse_core.strict import plain_values

FOLDER = {"folder": "points", "mpp": 0.5}
STORE = {"store": "s.muse"}
ON_FOLDERS = {"out": "m.safetensors", "train": [FOLDER]}
ON_STORES = {"out": "m.safetensors", "stores": [STORE], "base": "b"}
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "finetune.md"


@pytest.mark.parametrize(
    ("values", "length", "crop_px", "rates", "consistency"),
    [
        (ON_FOLDERS, (3000, 8, 500), 256, (2e-3, 1.0), 0.0),
        (ON_FOLDERS | {"unlabeled": [{"path": "x"}]}, (3000, 8, 500), 256, (2e-3, 1.0), 1.0),
        (ON_STORES, (150, 2, 30), 512, (5e-4, 0.1), 1.0),
        (ON_STORES | {"mode": "adapt"}, (200, 8, 40), 256, (5e-4, 1.0), 0.0),
        (ON_FOLDERS | {"preset": "stores"}, (150, 2, 30), 512, (5e-4, 0.1), 1.0),
        (
            ON_STORES | {"consistency": {"weight": 0.0, "regions": 3}, "steps": 7},
            (7, 2, 30),
            512,
            (5e-4, 0.1),
            0.0,
        ),
    ],
)
def test_what_is_left_out_suits_the_kind_of_run(
    values: dict[str, Any],
    length: tuple[int, int, int],
    crop_px: int,
    rates: tuple[float, float],
    consistency: float,
) -> None:
    config = resolved(values)
    assert (config.steps, config.batch, config.validate_every) == length
    assert config.views == ViewConfig(crop_px=crop_px)
    assert (config.learning_rate, config.backbone_rate) == rates
    assert config.consistency.weight == consistency


def test_folders_have_the_defaults_of_the_configuration() -> None:
    assert resolved(ON_FOLDERS) == FinetuneConfig(
        out=Path("m.safetensors"), train=(LabelSet(Path("points"), 0.5),)
    )


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_can_be_asked_for(name: str) -> None:
    assert resolved(ON_FOLDERS | {"preset": name, "base": "b"}).mode == PRESETS[name]["mode"]


def test_a_teacher_is_set_by_name() -> None:
    values = with_settings(ON_FOLDERS, ["distillation.teacher=muse-base", "distillation.weight=2"])
    assert resolved(values).distillation == DistillationConfig(Path("muse-base"), 2.0)
    with pytest.raises(UserError, match="mode full"):
        resolved(values | {"mode": "adapt", "base": "b"})


def test_a_network_can_be_named() -> None:
    assert resolved(ON_FOLDERS | {"model": "thin"}).model == THIN
    assert resolved(ON_FOLDERS | {"model": "resnet18"}).model.backbone.encoder == "resnet18"
    written = {"backbone": {"decoder_channels": [8, 8, 8, 8]}}
    assert resolved(ON_FOLDERS | {"model": written}).model.backbone.decoder_channels == (8,) * 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train": [FOLDER]}, "the field 'out' is wrong"),
        ({"out": "m"}, "give --train or --annotations"),
        (ON_FOLDERS | {"train": FOLDER}, "the field 'train'"),
        (ON_FOLDERS | {"train": [{"folder": "points"}]}, "'train.0.mpp'"),
        (ON_FOLDERS | {"train": [FOLDER | {"class_map": {"a": "tumor"}}]}, "'train.0.class_map.a'"),
        (ON_FOLDERS | {"preset": "quick"}, "preset is one of folders, stores, adapt"),
        (ON_FOLDERS | {"preset": ["adapt"]}, "preset is one of"),
        (ON_STORES | {"preset": "stores", "mode": "adapt"}, "'stores' is of the mode 'full'"),
        (ON_STORES | {"mode": "adept"}, "'mode'"),
        (ON_FOLDERS | {"mode": "adapt"}, "a model to start from"),
        (ON_FOLDERS | {"device": "tpu"}, "'device'"),
        (ON_FOLDERS | {"steps": 0}, "at least 1"),
        (ON_FOLDERS | {"steps": True}, "'steps'"),
        (ON_FOLDERS | {"learning_rate": float("nan")}, "'learning_rate'"),
        (ON_FOLDERS | {"learning_rate": 0}, "must be positive"),
        (ON_FOLDERS | {"seed": -1}, "at least 0"),
        (ON_FOLDERS | {"steps": 2**62, "batch": 8}, "more than can be counted"),
        (ON_FOLDERS | {"views": {"crop_px": 100}}, "multiple of 32"),
        (ON_FOLDERS | {"views": {"crop_px": 2**20}}, "multiple of 32, from 64 to 4096"),
        (ON_FOLDERS | {"views": {"noise": -1}}, "noise are at least 0"),
        (ON_FOLDERS | {"views": 3}, "'views'"),
        (ON_FOLDERS | {"losses": {"regression": 0, "nucleus": 0, "classes": 0}}, "is above 0"),
        (ON_FOLDERS | {"learning_rate": 1e300}, "at most 1e"),
        (ON_FOLDERS | {"workers": 2**40}, "workers lies between 0 and 256"),
        (ON_FOLDERS | {"train": [FOLDER | {"weight": 1e308}]}, "weight of a points-folder"),
        (ON_FOLDERS | {"losses": {"label_smoothing": 1.5}}, "label_smoothing"),
        (ON_FOLDERS | {"losses": {"clases": 1}}, "unknown field 'losses.clases'"),
        (ON_FOLDERS | {"crop_px": 64}, "'crop_px'; perhaps 'views.crop_px' is meant"),
        (
            ON_FOLDERS | {"train": [{"foldr": "a"}]},
            "'train.0.foldr'; perhaps 'train.folder' is meant",
        ),
        (ON_FOLDERS | {"model": {"backbone": {"layers": 1}}}, "unknown field 'model.backbone.lay"),
        (ON_FOLDERS | {"unlabeled": [{"path": "x"}], "consistency": {"weight": 0}}, "above 0"),
        (ON_FOLDERS | {"class_map": [["a", "b"]]}, "'class_map'"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        resolved(values, "c.toml")


def test_every_value_survives_the_way_through_plain_values() -> None:
    config = FinetuneConfig(
        Path("m"),
        (LabelSet(Path("a"), 0.5, 2.0, False, ("1",), {"x": ("*",)}, False),),
        stores=(StoreSource(Path("s"), Path("t"), 0.25, True, "rgb"),),
        unlabeled=(UnlabeledSource(Path("u"), 0.3, True),),
        consistency=ConsistencyConfig(weight=0.5, own_slides=False),
        losses=LossConfig(classes=0.1),
        adapt=AdaptConfig(places=9),
        model=THIN,
        class_map={"tumor": "large"},
        classes=("large", "small"),
    )
    assert resolved(json.loads(json.dumps(plain_values(config)))) == config


def test_every_field_is_described() -> None:
    kinds = [FinetuneConfig, LabelSet, StoreSource, UnlabeledSource]
    kinds += [type(d) for f in fields(FinetuneConfig) if is_dataclass(d := _default(f))]
    for kind in kinds:
        described = inspect.getdoc(kind) or ""
        missing = [f.name for f in fields(kind) if f"\n    {f.name}: " not in described]
        assert not missing, kind


def _default(field: Any) -> object:
    return field.default_factory() if callable(field.default_factory) else field.default


def test_a_configuration_is_built_without_torch() -> None:
    code = (
        "import sys; from muse_core.finetune import FinetuneConfig;"
        "from muse_core.finetune.presets import resolved; import muse_core.jobs;"
        f"resolved({ON_FOLDERS!r}); print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_configuration_in_the_documentation_is_understood(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    config = read_finetune_config(tmp_path / "run.toml", ["steps=7"])
    assert config.steps == 7
    assert len(config.train) == 2
    assert config.train[1].class_map is not None
    assert tomllib.loads(text)["base"] == str(config.base)
