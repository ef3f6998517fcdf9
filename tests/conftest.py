"""Location of real data, and the order of tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, settings
from PIL import Image, ImageDraw

from muse_core.errors import UserError

# No deadline, so that no example fails on a busy machine.
settings.register_profile(
    "any speed", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any speed")

_TESTS = Path(__file__).resolve().parent
_REPOSITORY = _TESTS.parent
_NUMERIC_ROOMS = frozenset(
    ("augment", "classify", "detect", "evaluate", "finetune", "models", "pretrain", "training")
)
_FORKING = tuple(
    _TESTS / name for name in ("pretrain/test_train.py", "finetune/full/test_train.py")
)
"""Files whose tests fork this process and send signals to its children."""
_LONGEST = tuple(
    _TESTS / name
    for name in (
        "napari/jobs/test_learning.py",
        "jobs/test_bounded.py",
        "napari/annotations/test_undo_machine.py",
        "pretrain/test_recipe.py",
        "napari/jobs/test_unfinished.py",
        "napari/jobs/test_relearning.py",
        "cli/test_fetch_model.py",
        "detect/backends/test_openvino.py",
    )
)
"""Files with the slowest tests."""
assert all(path.is_file() for path in _FORKING + _LONGEST)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One process more than there are cores: tests of the window wait a third of their time."""
    return (yield) + 1


def pytest_collection() -> None:
    """Exclude modules that are imported by now from garbage collection."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark rooms whose results depend on the CPU's arithmetic; start with slow tests.

    Otherwise one process would still run them when the others have finished. Tests that fork come
    first of all: children of a process with windows sometimes crashed.
    """
    items.sort(key=lambda item: (item.path not in _FORKING, item.path not in _LONGEST))
    for item in items:
        parts = item.path.relative_to(_TESTS).parts if item.path.is_relative_to(_TESTS) else ()
        if parts and parts[0] in _NUMERIC_ROOMS:
            item.add_marker(pytest.mark.numeric)


def pytest_collection_finish() -> None:
    """Exclude the imported modules from every later garbage collection.

    They are some 250,000 objects of torch, pandas and napari, and napari collects all garbage
    whenever a layer is removed.
    """
    _without_torchs_handler()
    # Most of what windows create lives as long as they do: the usual limits collect in vain.
    gc.set_threshold(50_000, 20, 100)
    gc.enable()
    gc.collect()
    gc.freeze()
    # Also exclude this process' objects, windows above all, from collection in its children.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=gc.freeze)


def _without_torchs_handler() -> None:
    """Prevent torch's loaders from setting a handler of SIGCHLD, which only speeds up their errors.

    The exit of a child crashed a test process with many threads of Qt, Mesa and OpenVINO: the
    kernel could not set up the stack frame of the handler, nor that of SIGSEGV (si_code SI_KERNEL,
    in three cores).
    """
    handling = sys.modules.get("torch.utils.data._utils.signal_handling")
    if handling is not None:
        assert hasattr(handling, "_SIGCHLD_handler_set"), "torch does it in another way now"
        handling.__dict__["_SIGCHLD_handler_set"] = True


@pytest.fixture(autouse=True)
def no_handler_of_ended_children() -> Iterator[None]:
    """Remove torch's handler after the test, if torch was loaded during it."""
    yield
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def converted_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted networks in a folder shared by all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_CONVERTED_DIR", str(shared / "converted"))
        yield


def data_folder() -> Path:
    """Location of real data on this machine, if there is any."""
    return Path(os.environ.get("MUSE_DATA", _REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def muse_data() -> Path:
    """Folder of real tiles and slides; tests that need it are skipped if it is missing."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MUSE_DATA")
    return folder


@pytest.fixture(scope="session")
def cmu_slide() -> Path:
    """A real Aperio SVS (CC0), 2220 x 2967 px at 0.499 um/px; downloaded if it is missing."""
    path = data_folder() / "slides" / "CMU-1-Small-Region.svs"
    if path.is_file():
        return path
    # Not imported at the top: the core's tests need no napari.
    sample = pytest.importorskip("napari_muse.io.sample")
    try:
        return Path(sample.sample_slide_path())
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def unscaled_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal TIFF of 1280 px and six levels, synthetic tissue, without a scale."""
    image = Image.new("RGB", (1280, 1280), (235, 200, 220))
    draw = ImageDraw.Draw(image)
    for x, y in np.random.default_rng(0).uniform(0, 1280, (900, 2)):
        draw.ellipse([x - 7, y - 7, x + 7, y + 7], fill=(80, 50, 130))
    path = tmp_path_factory.mktemp("unscaled") / "unscaled.tiff"
    with tifffile.TiffWriter(path) as tif:
        for k in range(6):
            level = np.asarray(image.resize((1280 >> k, 1280 >> k), Image.Resampling.BOX))
            tif.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                compression="jpeg",
                subfiletype=1 if k else 0,
                metadata=None,
            )
    return path
