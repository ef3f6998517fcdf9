"""How much memory there is, and batches that all of it cannot hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from muse_core import memory
from muse_core.classify.features import FeatureSpec, nucleus_features
from muse_core.detect import DetectConfig, Detector
from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, finetune
from muse_core.finetune.config import ViewConfig
from muse_core.memory import memory_limit, require_batch_memory, usable_memory
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import ModelConfig
from muse_core.pretrain.train import pretrain
from muse_core.slides import open_slide

from .control_groups import limited_group, written_groups
from .detect.blobs import BlobModel
from .job_inputs import NARROW, write_points_folder, write_slide
from .pretrain.roi_folder import tiny_config, write_rois

HUGE = 9_999_999


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with ten megabytes of memory."""
    monkeypatch.setattr(memory, "usable_memory", lambda: 10_000_000)


def detect(folder: Path, batch: int) -> None:
    slide = open_slide(write_slide(folder / "s.png", 600, 500), mpp=0.5)
    config = DetectConfig(device="cpu", batch=batch, tile_px=256, halo_px=32)
    Detector(BlobModel(), config).detect(slide)


def compute_features(folder: Path, batch: int) -> None:
    slide = open_slide(write_slide(folder / "s.png", 600, 500), mpp=0.5)
    points = [[x, y] for x in range(10, 600, 64) for y in range(10, 500, 64)]
    nucleus_features(slide, points, MuseBackbone(NARROW).eval(), FeatureSpec(0.5, 64, batch))


def fine_tune(folder: Path, batch: int) -> None:
    train = LabelSet(write_points_folder(folder / "train"), 0.5)
    views = ViewConfig(crop_px=96)
    finetune(
        FinetuneConfig(
            train=(train,), out=folder / "m.safetensors", model=ModelConfig(NARROW),
            steps=1, batch=batch, device="cpu", views=views,
        )
    )  # fmt: skip


def pre_train(folder: Path, batch: int) -> None:
    config = tiny_config(write_rois(folder / "rois"), folder / "out")
    schedule = replace(config.schedule, batch=batch, epoch_samples=batch)
    pretrain(replace(config, schedule=schedule))


@pytest.mark.parametrize(
    ("run", "what"),
    [(detect, "tiles"), (compute_features, "tiles"), (fine_tune, "crops"), (pre_train, "samples")],
)
@pytest.mark.usefixtures("little_memory")
def test_a_batch_beyond_memory_is_refused_before_anything_is_written(
    tmp_path: Path, run: Callable[[Path, int], None], what: str
) -> None:
    says = rf"^A batch of [0-9,]+ {what} takes about [0-9,]+ GB of memory, of which there are 0"
    with pytest.raises(UserError, match=says):
        run(tmp_path, HUGE)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("run", [detect, compute_features])
def test_there_are_no_more_tiles_in_a_batch_than_in_the_slide(
    tmp_path: Path, run: Callable[[Path, int], Any]
) -> None:
    run(tmp_path, HUGE)


def test_one_alone_is_never_refused_and_on_a_gpu_only_pixels_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "usable_memory", lambda: 16_000_000_000)
    require_batch_memory("tiles", 1, 10**12, "cpu")
    require_batch_memory("tiles", 84, 1024**2, "cpu")
    require_batch_memory("tiles", 1000, 1024**2, "cuda")
    for batch, device, training in ((85, "cpu", False), (39, "cpu", True), (1018, "cuda", True)):
        with pytest.raises(UserError, match="takes about 16 GB of memory, of which there are 16"):
            require_batch_memory("tiles", batch, 1024**2, device, training)


DOCKER_2 = ("0::/\n", {"memory.max": "4000000000\n"})
DOCKER_1 = (
    "11:memory:/docker/f0e\n4:cpu,cpuacct:/docker/f0e\n",
    {"memory/memory.limit_in_bytes": "4000000000\n"},
)
SLURM = (
    "0::/system.slice/slurm/job_7/step_0\n",
    {
        "system.slice/slurm/job_7/step_0/memory.max": "max\n",
        "system.slice/slurm/job_7/memory.max": "4000000000\n",
        "system.slice/memory.max": "64000000000\n",
    },
)
FREE = ("0::/user.slice\n", {"user.slice/memory.max": "max\n"})


@pytest.mark.parametrize(
    ("groups", "limit"),
    [(DOCKER_2, 4_000_000_000), (DOCKER_1, 4_000_000_000), (SLURM, 4_000_000_000), (FREE, None)],
    ids=["docker 2", "docker 1", "slurm", "free"],
)
def test_the_memory_of_a_container_counts(
    tmp_path: Path, groups: tuple[str, dict[str, str]], limit: int | None
) -> None:
    assert memory_limit(written_groups(tmp_path, *groups)) == limit
    assert usable_memory() <= psutil.virtual_memory().total


@pytest.fixture
def a_gigabyte() -> Iterator[Path]:
    """A control group of this machine that has a gigabyte of memory, to be joined."""
    with limited_group("memory", "memory.limit_in_bytes", 1 << 30) as group:
        yield group


def test_a_limited_process_refuses_what_it_could_not_hold(a_gigabyte: Path) -> None:
    script = (
        f"open({str(a_gigabyte / 'cgroup.procs')!r}, 'w').write('0')\n"
        "from muse_core.memory import require_batch_memory\n"
        "require_batch_memory('tiles', 2, 4_000_000, 'cpu')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "UserError: A batch of 2 tiles takes about 1 GB of memory" in done.stderr
