from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from muse_core.detect import DetectConfig, detect_image
from muse_core.finetune import FinetuneConfig, StoreSource
from muse_core.finetune.config import AdaptConfig
from muse_core.finetune.data.fields import Field
from muse_core.finetune.data.stores import fields_of_stores, read_stores
from muse_core.finetune.heads_only.frozen import freeze, padded, propose, turned, views_for
from muse_core.finetune.heads_only.frozen_detection import FrozenDetector
from muse_core.finetune.heads_only.frozen_step import head_losses
from muse_core.finetune.holdout.threshold import LOWEST_SCORE
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel

from ...job_inputs import write_model
from ..annotated import CLASSES, MPP, reviewed_store, watched_logits

ADAPTING = FinetuneConfig(
    train=(), out=Path("m"), stores=(StoreSource(Path("s")),), base=Path("b"), mode="adapt"
)
STILL = dataclasses.replace(
    ADAPTING, adapt=AdaptConfig(most_views=1, places=1), correction_weight=1.0
)


@pytest.fixture
def field(tmp_path: Path) -> Field:
    contents = read_stores([StoreSource(reviewed_store(tmp_path, [(120, 150, 110)]), mpp=MPP)])
    return fields_of_stores(contents, MPP, margin_px=45, correction_weight=1.0)[0]


@pytest.fixture
def model(tmp_path: Path) -> MuseModel:
    return load_model(write_model(tmp_path / "m.safetensors"))


def test_points_turn_with_the_pixels(field: Field) -> None:
    def darkness(of: Field) -> float:
        x, y = of.xy.astype(int).T
        return float(of.image[y, x].mean())

    assert darkness(field) < 90
    for number in range(8):
        view = turned(field, number % 4, number >= 4)
        assert darkness(view) < 90
        assert view.known[view.xy[:, 1].astype(int), view.xy[:, 0].astype(int)].all()
        assert view.known.sum() == field.known.sum()
    np.testing.assert_array_equal(turned(field, 1, False).image, np.rot90(field.image))


def test_what_is_kept_gives_what_the_whole_network_gives(field: Field, model: MuseModel) -> None:
    (view,) = freeze(model, [field], CLASSES, STILL, lambda: False, lambda *_: None)
    image = torch.from_numpy(padded(field)[0]).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        f_map, expected = model(image)
        found = propose(model.point_head, view.trunk[None].float())
        features = model.backbone.sample(
            f_map, torch.from_numpy(field.xy)[None], (image.shape[-2], image.shape[-1])
        )[0]
    # The network ran in bfloat16 and was kept in float16.
    torch.testing.assert_close(found.logit, expected.logit, atol=0.05, rtol=0.05)
    torch.testing.assert_close(found.xy, expected.xy, atol=0.1, rtol=0.0)
    torch.testing.assert_close(view.features[:, 0].float(), features, atol=0.1, rtol=0.1)


def test_detection_on_kept_features_is_detection(field: Field, model: MuseModel) -> None:
    (table,) = FrozenDetector(model, [field]).detect(model)
    whole = detect_image(
        model, field.image, MPP, DetectConfig(device="cpu", min_score=LOWEST_SCORE)
    )
    inner = table[(table["x"] < 150) & (table["y"] < 150)]
    expected = whole[(whole["x"] < 150) & (whole["y"] < 150)]
    # The padding differs, mirrored and white; it is far from the inner part.
    assert abs(len(inner) - len(expected)) <= 0.05 * len(expected)


def test_nothing_is_detected_beside_the_field(field: Field, model: MuseModel) -> None:
    # Nuclei lie on the edges of the part, and their mirror images in what it is padded with.
    part = dataclasses.replace(field, image=field.image[:193, :179])
    assert padded(part)[0].shape[:2] != part.image.shape[:2]
    # So that it detects something everywhere.
    torch.nn.init.constant_(model.point_head.get_parameter("out.bias"), 1.0)
    (table,) = FrozenDetector(model, [part]).detect(model)
    assert len(table) > 50
    assert table["x"].between(0, 179, "left").all()
    assert table["y"].between(0, 193, "left").all()


def test_tissue_that_is_not_known_gives_exactly_no_gradient(field: Field, model: MuseModel) -> None:
    (view,) = freeze(model, [field], CLASSES, STILL, lambda: False, lambda *_: None)
    logits = watched_logits(model)
    losses = head_losses(model, [view], torch.ones(2), ADAPTING, torch.Generator().manual_seed(0))
    losses.total.backward()
    gradient = logits[0].grad
    assert gradient is not None
    touched = gradient[0] != 0
    # Known anchors have a gradient; of the others only those matched with a nucleus.
    assert touched[view.known].all()
    assert int((touched & ~view.known).sum()) <= len(view.xy)
    far = torch.ones_like(view.known).view(view.trunk.shape[1:])
    far[(45 - 10) // 4 : (155 + 10) // 4 + 1, (45 - 10) // 4 : (155 + 10) // 4 + 1] = False
    assert far.any()
    assert (gradient[0][far.flatten()] == 0).all()


def test_fewer_views_where_there_is_much_to_see(field: Field) -> None:
    megapixels = field.image.shape[0] * field.image.shape[1] / 1e6
    for budget, expected in ((0.1, 1), (3.5, 3), (100, 8)):
        assert views_for([field], AdaptConfig(megapixels=budget * megapixels)) == expected
