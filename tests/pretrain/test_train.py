from __future__ import annotations

import csv
import dataclasses
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import distributed

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, finetune
from muse_core.models.card import BACKBONE, read_card
from muse_core.models.checkpoint import load_backbone
from muse_core.pretrain.batches import BatchDataset
from muse_core.pretrain.config import PretrainConfig, ProbeSetsConfig
from muse_core.pretrain.config_file import read_pretrain_config
from muse_core.pretrain.roi_manifest import read_manifest
from muse_core.pretrain.train import CHECKPOINT_NAME, Run, pretrain
from muse_core.strict import plain_values

from ..job_inputs import write_points_folder
from ..training.interrupting import end_all, interrupt_children
from .roi_folder import tiny_config, write_rois


@pytest.fixture(scope="module")
def rois(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rois(tmp_path_factory.mktemp("rois") / "rois")


@pytest.fixture
def config(rois: Path, tmp_path: Path) -> PretrainConfig:
    return tiny_config(rois, tmp_path / "out")


@pytest.fixture(scope="module")
def unbroken(rois: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    """A finished run with its output."""
    run = tiny_config(rois, tmp_path_factory.mktemp("unbroken") / "out")
    pretrain(run)
    return run


def _rows(config: PretrainConfig, name: str = "log") -> list[dict[str, str]]:
    with (config.out / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _same_weights(one: PretrainConfig, other: PretrainConfig) -> bool:
    first, second = (load_file(c.out / "backbone.safetensors") for c in (one, other))
    assert first.keys() == second.keys()
    return all(torch.equal(first[k], second[k]) for k in first)


def _cancel_after(config: PretrainConfig, steps: int) -> None:
    asked = iter(range(100))
    assert pretrain(config, should_cancel=lambda: next(asked) >= steps).cancelled


def test_leaves_a_backbone_a_log_and_its_settings(unbroken: PretrainConfig) -> None:
    rows = _rows(unbroken)
    assert [int(r["step"]) for r in rows] == [1, 2, 3, 4, 5, 6]
    assert all(float(r["image_loss"]) > 0 and float(r["nucleus_loss"]) > 0 for r in rows)
    assert all(0 < float(r["teacher_entropy_image"]) <= 1 for r in rows)
    assert all(float(r["feature_rank_nucleus"]) > 1 for r in rows)
    first = next(iter(BatchDataset(unbroken, 0, 0, 1)))
    # 4 samples, each with 2 views of the teacher and 3 others for each of them.
    assert float(rows[0]["matched_per_pair"]) == pytest.approx(len(first.teacher_row) / 24)
    assert len(first.teacher_row) > 24
    assert read_pretrain_config(unbroken.out / "config.json") == unbroken
    resolved = json.loads((unbroken.out / "config.json").read_text())
    # Without the build, such as +cpu, which the installer may omit.
    assert resolved["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert list((unbroken.out / "tensorboard").iterdir())
    card = read_card(unbroken.out / "backbone.safetensors")
    assert (card.kind, card.mpp, card.training["steps"]) == (BACKBONE, 0.5, 6)
    assert str(unbroken.out.parent) not in card.to_text()


def test_the_backbone_is_where_fine_tuning_starts(unbroken: PretrainConfig, tmp_path: Path) -> None:
    folder = write_points_folder(tmp_path / "points")
    base = unbroken.out / "backbone.safetensors"
    finetune(
        FinetuneConfig(
            train=(LabelSet(folder, 0.5),),
            out=tmp_path / "m.safetensors",
            base=base,
            steps=1,
            batch=1,
            device="cpu",
        )
    )
    assert read_card(tmp_path / "m.safetensors").parent == read_card(base).name


def test_the_student_moves_and_the_teacher_follows_it_alone(config: PretrainConfig) -> None:
    run = Run(config)
    before = {k: v.clone() for k, v in run.teacher.named_parameters()}
    student_before = {k: v.clone() for k, v in run.network.named_parameters()}
    run.train_on(run.batches())
    run.close()
    for name, teacher in run.teacher.named_parameters():
        student = run.network.get_parameter(name)
        assert teacher.grad is None
        # The momentum of step 0 is 0.996.
        expected = 0.996 * before[name] + 0.004 * student
        torch.testing.assert_close(teacher, expected, rtol=1e-4, atol=1e-6)
    moved = [k for k, v in run.network.named_parameters() if not torch.equal(v, student_before[k])]
    assert moved
    assert not any("prototypes" in name for name in moved), "frozen in the first epoch"


def test_another_seed_gives_other_weights(unbroken: PretrainConfig, config: PretrainConfig) -> None:
    other = dataclasses.replace(config, seed=1)
    pretrain(other)
    assert not _same_weights(unbroken, other)


def test_a_cancelled_run_resumes_as_if_unbroken(
    unbroken: PretrainConfig, config: PretrainConfig
) -> None:
    _cancel_after(config, 3)
    seen: list[int] = []
    pretrain(config, on_progress=lambda done, *_: seen.append(done))
    assert seen == [4, 5, 6]
    assert _same_weights(unbroken, config)
    assert [r["loss"] for r in _rows(config)] == [r["loss"] for r in _rows(unbroken)]


_PRETRAIN_AND_SAY = """
import sys
from muse_core.cli import main

try:
    main(sys.argv[1:])
finally:
    print("compiler loaded:", "torch._dynamo" in sys.modules)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_killed_run_resumes_bit_by_bit(unbroken: PretrainConfig, config: PretrainConfig) -> None:
    slow = dataclasses.replace(config, checkpoint_steps=1)
    path = config.out.parent / "run.json"
    path.write_text(json.dumps(plain_values(slow)))
    command = [sys.executable, "-m", "muse_core.cli", "pretrain", "--config", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    checkpoint = config.out / CHECKPOINT_NAME
    while not checkpoint.is_file() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
    if process.stderr:
        process.stderr.close()
    step = int(torch.load(checkpoint, weights_only=True)["step"])
    assert 1 <= step < 6
    command[1:3] = ["-c", _PRETRAIN_AND_SAY]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "6 steps" in done.stdout
    assert done.stdout.endswith("compiler loaded: False\n")
    assert _same_weights(unbroken, config)
    assert [r["loss"] for r in _rows(config)] == [r["loss"] for r in _rows(unbroken)]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    config: PretrainConfig,
) -> None:
    _cancel_after(config, 2)
    before = (config.out / CHECKPOINT_NAME).read_bytes()
    run = Run(config)
    with torch.no_grad():
        next(run.network.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"no longer a number at step 3.*step 2 is kept"):
        run.train_on(run.batches())
    run.close()
    assert (config.out / CHECKPOINT_NAME).read_bytes() == before
    backbone, _ = load_backbone(config.out / "backbone.safetensors")
    assert all(p.isfinite().all() for p in backbone.parameters())


def test_other_settings_do_not_resume(config: PretrainConfig) -> None:
    _cancel_after(config, 2)
    other = dataclasses.replace(config, seed=5)
    with pytest.raises(UserError, match=r"another run: it differs in .*--restart"):
        pretrain(other)
    assert pretrain(other, resume=False).steps_done == 6


def test_other_rois_do_not_resume(rois: Path, config: PretrainConfig, tmp_path: Path) -> None:
    own = Path(shutil.copytree(rois, tmp_path / "rois"))
    config = dataclasses.replace(config, rois=own)
    _cancel_after(config, 2)
    manifest = read_manifest(own)
    dataclasses.replace(manifest, sources=manifest.sources[:1]).write(own)
    with pytest.raises(UserError, match="another run: it differs in rois"):
        pretrain(config)
    manifest.write(own)
    assert pretrain(config).steps_done == 6


@pytest.mark.skipif(sys.platform == "win32", reason="no process is sent signals there")
def test_ctrl_c_leaves_the_processes_that_cut_views_to_the_run(config: PretrainConfig) -> None:
    helped = dataclasses.replace(config, workers=1)
    result = pretrain(helped, on_progress=lambda *_: interrupt_children())
    assert result.steps_done == 6


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_ends_all_processes_ends_the_run_in_order(config: PretrainConfig) -> None:
    steps: list[int] = []

    def end(step: int, *_: object) -> None:
        if not steps:
            end_all()
        steps.append(step)

    helped = dataclasses.replace(config, workers=1)
    result = pretrain(helped, on_progress=end, should_cancel=lambda: len(steps) == 3)
    assert (result.cancelled, result.steps_done) == (True, 3)
    assert pretrain(helped).steps_done == 6


def test_accumulated_parts_learn_from_all_samples(config: PretrainConfig) -> None:
    schedule = dataclasses.replace(config.schedule, accumulate=2)
    result = pretrain(dataclasses.replace(config, schedule=schedule))
    assert result.steps_done == 6
    assert len(_rows(config)) == 6


def test_watches_labelled_images(config: PretrainConfig, tmp_path: Path) -> None:
    folder = write_points_folder(tmp_path / "points")
    probe = ProbeSetsConfig(train=folder, test=folder, mpp=0.5, every_epochs=1)
    watched = dataclasses.replace(config, probe=probe)
    pretrain(watched)
    rows = _rows(config, "probe")
    assert [int(r["step"]) for r in rows] == [3, 6]
    assert all(0 <= float(r["knn_accuracy"]) <= 1 for r in rows)


@pytest.mark.parametrize(("image", "nucleus"), [(1.0, 0.0), (0.0, 1.0)])
def test_either_loss_can_be_left_out(config: PretrainConfig, image: float, nucleus: float) -> None:
    losses = dataclasses.replace(config.losses, image_weight=image, nucleus_weight=nucleus)
    pretrain(dataclasses.replace(config, losses=losses))
    for row in _rows(config):
        wanted = "image_loss" if image else "nucleus_loss"
        assert float(row["loss"]) == pytest.approx(float(row[wanted]), rel=1e-5)


def test_learns_in_bfloat16_nearly_what_it_learns_in_float32(
    unbroken: PretrainConfig, config: PretrainConfig
) -> None:
    pretrain(dataclasses.replace(config, precision="bf16"))
    for exact, rounded in zip(_rows(unbroken), _rows(config), strict=True):
        assert float(rounded["loss"]) == pytest.approx(float(exact["loss"]), rel=0.05)


@contextmanager
def _group_of_one() -> Iterator[None]:
    """One process with batch norm over several: torch's sums are less exact in channels-last."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


# Runs the command line for each configuration; processes and imports are shared.
_PRETRAIN_EACH = """
import sys
from muse_core.cli import main

for path in sys.argv[1:]:
    try:
        main(["pretrain", "--config", path])
    except SystemExit as end:
        if end.code:
            raise
"""


def _pretrain_with_two_processes(configs: list[PretrainConfig]) -> None:
    folder = configs[0].out.parent
    paths = [folder / f"{config.out.name}.json" for config in configs]
    for path, config in zip(paths, configs, strict=True):
        path.write_text(json.dumps(plain_values(config)))
    (folder / "each.py").write_text(_PRETRAIN_EACH)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", "2", str(folder / "each.py"), *map(str, paths)),
    ]
    # One group at a time, even with parallel tests: two on two cores starve each other.
    with FileLock(Path(tempfile.gettempdir()) / f"napari-muse-two-{getpass.getuser()}.lock"):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def by_two(rois: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PretrainConfig]:
    """Finished runs of two processes, by name."""
    folder = tmp_path_factory.mktemp("by_two")
    plain = tiny_config(rois, folder / "centre")
    centre = dataclasses.replace(plain.losses, balance="centre")
    sinkhorn = dataclasses.replace(plain.losses, balance="sinkhorn")
    configs = [
        dataclasses.replace(plain, losses=centre),
        dataclasses.replace(plain, losses=sinkhorn, out=folder / "sinkhorn"),
        dataclasses.replace(
            plain,
            losses=dataclasses.replace(plain.losses, nucleus_weight=0.0),
            schedule=dataclasses.replace(plain.schedule, epoch_samples=4),
            out=folder / "unmatched",
        ),
    ]
    _pretrain_with_two_processes(configs)
    return {config.out.name: config for config in configs}


def _alone(config: PretrainConfig, out: Path) -> PretrainConfig:
    """The same run by one process."""
    alone = dataclasses.replace(config, out=out)
    with _group_of_one():
        pretrain(alone)
    return alone


@pytest.mark.parametrize("balance", ["centre", "sinkhorn"])
def test_two_processes_give_the_loss_of_one_with_the_whole_batch(
    by_two: dict[str, PretrainConfig], tmp_path: Path, balance: str
) -> None:
    config = by_two[balance]
    assert config.losses.balance == balance
    alone = _alone(config, tmp_path / "alone")
    for one, two in zip(_rows(alone), _rows(config), strict=True):
        for name in ("loss", "image_loss", "nucleus_loss", "gradient_norm"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=2e-4), name
    first, second = (load_file(c.out / "backbone.safetensors") for c in (alone, config))
    assert first.keys() == second.keys()


def test_two_processes_learn_without_a_matched_nucleus(
    by_two: dict[str, PretrainConfig], tmp_path: Path
) -> None:
    config = by_two["unmatched"]
    alone = _alone(config, tmp_path / "alone")
    losses_of = [[float(row["loss"]) for row in _rows(c)] for c in (alone, config)]
    assert losses_of[1] == pytest.approx(losses_of[0], rel=2e-4)
    assert len(losses_of[0]) == 2


def test_the_curves_are_closed_when_the_loss_is_no_number(config: PretrainConfig) -> None:
    schedule = dataclasses.replace(config.schedule, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(UserError, match="no longer a number"):
        pretrain(dataclasses.replace(config, schedule=schedule))
    open_files = [Path(file.path) for file in psutil.Process().open_files()]
    assert not [path for path in open_files if path.is_relative_to(config.out)]
    logged = EventAccumulator(str(config.out / "tensorboard")).Reload().Scalars("log/loss")
    assert [event.step for event in logged] == [int(row["step"]) for row in _rows(config)]
    assert logged
    assert not list(config.out.glob(".*"))


def test_two_runs_do_not_share_a_folder(config: PretrainConfig) -> None:
    refused = []

    def second(*_: object) -> None:
        with pytest.raises(UserError, match="another program is writing it"):
            pretrain(config)
        refused.append(True)

    assert pretrain(config, on_progress=second).steps_done == 6 == len(refused)
    assert len(_rows(config)) == 6
