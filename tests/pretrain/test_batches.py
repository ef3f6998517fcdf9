from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.pretrain.appearance import apply_appearance, draw_appearance, stack_appearances
from muse_core.pretrain.batches import BatchDataset, PretrainBatch
from muse_core.pretrain.config import AppearanceConfig, PretrainConfig
from muse_core.pretrain.network import DistillationNetwork
from muse_core.pretrain.roi_manifest import RoiSettings, open_roi_folder
from muse_core.pretrain.rois import cut_slide
from muse_core.slides import open_slide

from ..job_inputs import write_slide
from .roi_folder import dark_spots, tiny_config, write_rois


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    root = tmp_path_factory.mktemp("rois")
    return tiny_config(write_rois(root / "rois"), root / "out")


def _valid_xy(batch: PretrainBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and points of all rows, in order."""
    colours = [
        group.images[view, :, int(y), int(x)]
        for group in batch.groups
        for view in range(len(group.images))
        for x, y in group.xy[view][group.valid[view]].tolist()
    ]
    return torch.stack(colours), torch.cat([g.xy[g.valid] for g in batch.groups])


def test_shapes_and_matched_nuclei(config: PretrainConfig) -> None:
    batch = BatchDataset(config)[0]
    large, small = batch.groups
    assert large.images.shape == (8, 3, 64, 64)
    assert small.images.shape == (8, 3, 32, 32)
    assert len(batch.teacher_row) == len(batch.student_row) == int(batch.pair_size.sum()) > 0
    colours, _ = _valid_xy(batch)
    n_rows = len(colours)
    used = torch.cat([batch.teacher_row, batch.student_row]).unique()
    assert used.tolist() == list(range(n_rows)), "nothing is projected in vain"
    assert (colours[:, 0] < 160).float().mean() > 0.9, "a matched nucleus lies on a dark disc"
    n_teacher_rows = int(large.valid.sum())
    assert int(batch.teacher_row.max()) < n_teacher_rows


def test_without_matched_nuclei_there_is_still_a_place_to_read(config: PretrainConfig) -> None:
    losses = dataclasses.replace(config.losses, nucleus_weight=0.0)
    batch = BatchDataset(dataclasses.replace(config, losses=losses))[0]
    for group in batch.groups:
        assert group.xy.shape[1:] == (1, 2)
        assert not group.valid.any()
    network = DistillationNetwork(MuseBackbone(config.model), config.losses)
    images = [group.images.float() / 255 for group in batch.groups]
    _, nuclei, _, _ = network(images, [g.xy for g in batch.groups], [g.valid for g in batch.groups])
    assert len(nuclei) == 0
    nuclei.sum().backward()
    for parameter in network.backbone.decoder.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_the_same_seed_gives_the_same_batch_and_another_another(config: PretrainConfig) -> None:
    first, again = BatchDataset(config)[1], BatchDataset(config)[1]
    assert torch.equal(first.groups[0].images, again.groups[0].images)
    other = BatchDataset(dataclasses.replace(config, seed=1))[1]
    assert not torch.equal(first.groups[0].images, other.groups[0].images)


def test_a_resumed_run_sees_the_batches_it_has_not_seen(config: PretrainConfig) -> None:
    whole, rest = BatchDataset(config), BatchDataset(config, start_step=2)
    assert (len(whole), len(rest)) == (6, 4)
    assert torch.equal(whole[2].groups[1].images, rest[0].groups[1].images)


def test_two_processes_share_the_samples_of_one(config: PretrainConfig) -> None:
    whole = BatchDataset(config)[1].groups[0]
    halves = [BatchDataset(config, rank=r, n_processes=2)[1].groups[0] for r in range(2)]
    by_view = whole.images.unflatten(0, (2, 4))
    both = torch.cat([h.images.unflatten(0, (2, 2)) for h in halves], dim=1)
    assert torch.equal(by_view, both)
    appearances = torch.cat([h.appearances.gain.unflatten(0, (2, 2)) for h in halves], dim=1)
    assert torch.equal(whole.appearances.gain.unflatten(0, (2, 4)), appearances)


def test_samples_in_a_row_lie_in_the_same_roi_where_that_is_asked(tmp_path: Path) -> None:
    manifest = open_roi_folder(tmp_path / "rois", RoiSettings(roi_px=256, mpp=0.25))
    tints = [(230, 180 + 10 * i, 210) for i in range(6)]
    for i, tint in enumerate(tints):
        path = write_slide(tmp_path / f"slide{i}.png", 256, 256, seed=i, ground=tint)
        with open_slide(path, mpp=0.25) as slide:
            longer = cut_slide(slide, tmp_path / "rois", manifest, dark_spots)
        assert longer is not None
        manifest = longer
    config = tiny_config(tmp_path / "rois", tmp_path / "out")
    schedule = dataclasses.replace(config.schedule, batch=12, samples_per_roi=4)
    config = dataclasses.replace(config, schedule=schedule)

    def slides_of(batch: PretrainBatch) -> list[int]:
        green = batch.groups[0].images[:, 1].flatten(1).float()
        first_views = green[: len(green) // 2]
        return ((first_views.quantile(0.9, dim=1) - 180) / 10).round().int().tolist()

    slides = slides_of(BatchDataset(config)[0])
    groups = np.array(slides).reshape(3, 4)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) > 1
    halves = [slides_of(BatchDataset(config, rank=r, n_processes=2)[0]) for r in range(2)]
    assert halves[0] + halves[1] == slides


def test_a_batch_that_cannot_be_shared_is_refused(config: PretrainConfig) -> None:
    with pytest.raises(UserError, match="shared"):
        BatchDataset(config, n_processes=3)


def test_a_folder_without_rois_is_refused(config: PretrainConfig, tmp_path: Path) -> None:
    open_roi_folder(tmp_path, RoiSettings())
    with pytest.raises(UserError, match="no ROIs"):
        BatchDataset(dataclasses.replace(config, rois=tmp_path))


def test_rois_without_nuclei_are_refused_where_these_are_learnt_from(
    config: PretrainConfig, tmp_path: Path
) -> None:
    manifest = open_roi_folder(tmp_path / "rois", RoiSettings(roi_px=256, mpp=0.25))
    with open_slide(write_slide(tmp_path / "s.png", 256, 256), mpp=0.25) as slide:
        cut_slide(slide, tmp_path / "rois", manifest, lambda *_: np.zeros((0, 2), np.float32))
    empty = dataclasses.replace(config, rois=tmp_path / "rois")
    with pytest.raises(UserError, match=r"hold no nuclei, .*nucleus_weight to 0\.$"):
        BatchDataset(empty)
    of_images = dataclasses.replace(empty.losses, nucleus_weight=0.0)
    assert len(BatchDataset(dataclasses.replace(empty, losses=of_images))) > 0


@pytest.mark.parametrize("where", [np.nan, np.inf])
def test_nuclei_that_lie_nowhere_are_refused(tmp_path: Path, where: float) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    for points in config.rois.rglob("*.npy"):
        np.save(points, np.array([[20.0, 30.0], [where, 40.0]], dtype=np.float32))
    with pytest.raises(UserError, match="lie nowhere"):
        BatchDataset(config)[0]


@pytest.mark.parametrize("side_px", [100, 400])
def test_an_image_that_is_not_the_one_that_was_cut_is_refused(tmp_path: Path, side_px: int) -> None:
    config = tiny_config(write_rois(tmp_path / "rois", 1), tmp_path / "out")
    for image in config.rois.rglob("*.tif"):
        other = np.full((side_px, side_px, 3), 200, dtype=np.uint8)
        tifffile.imwrite(image, other, photometric="rgb")
    with pytest.raises(UserError, match=f"has {side_px} x {side_px} pixels, not the 256 x 256"):
        BatchDataset(config)[0]


def test_looks_of_strength_zero_change_nothing() -> None:
    config = AppearanceConfig((1, 1), 0, 0, 0, 0, 0, blur_share=0)
    rng = np.random.default_rng(0)
    images = torch.rand(3, 3, 16, 16).clamp_min(0.02)
    appearances = stack_appearances([draw_appearance(config, rng) for _ in range(3)])
    torch.testing.assert_close(apply_appearance(images, appearances), images, rtol=1e-4, atol=1e-4)


def test_looks_depend_on_the_view_alone_and_stay_in_range() -> None:
    config = AppearanceConfig(blur_share=0.5)
    rng = np.random.default_rng(0)
    images = torch.rand(6, 3, 16, 16)
    drawn = [draw_appearance(config, rng) for _ in range(6)]
    together = apply_appearance(images, stack_appearances(drawn))
    assert together.min() >= 0
    assert together.max() <= 1
    assert not torch.allclose(together, images, atol=0.05)
    for i in range(6):
        alone = apply_appearance(images[i : i + 1], stack_appearances(drawn[i : i + 1]))
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)
