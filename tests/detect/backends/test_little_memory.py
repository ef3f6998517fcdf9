"""OpenVINO without enough memory or threads: an error, never the result of an earlier image."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muse_core.detect.backends import conversion, openvino_library
from muse_core.detect.backends.backend import NotConvertibleError
from muse_core.detect.backends.choosing import open_backend
from muse_core.detect.backends.converted import converted_session
from muse_core.detect.config import DetectConfig
from muse_core.errors import UserError
from muse_core.models.checkpoint import save_model

from .small_models import SMALL, model_of

pytestmark = pytest.mark.skipif(
    not openvino_library.is_installed(), reason="OpenVINO is not installed"
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSE_CONVERTED_DIR", str(tmp_path / "own"))
    save_model(model_of(SMALL), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as on Linux")
def test_no_image_gets_the_result_of_another(small: Path) -> None:
    converted_session(small, "float32")
    command = [sys.executable, "-m", "tests.detect.backends.starved_worker", str(small)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("as it should be\n", 0), done.stderr


@pytest.mark.parametrize(
    ("fails", "error"), [("_compiled", RuntimeError("can't alloc")), ("_deviation", MemoryError())]
)
def test_a_conversion_without_memory_is_not_kept_as_a_refusal(
    small: Path, monkeypatch: pytest.MonkeyPatch, fails: str, error: Exception
) -> None:
    def starve(*_: object) -> None:
        raise error

    monkeypatch.setattr(conversion, fails, starve)
    with pytest.raises(UserError, match="There is not enough memory to convert m"):
        converted_session(small, "float32")
    assert not list((small.parent / "own").glob("*/facts.json"))


def test_a_conversion_without_threads_is_not_kept_as_a_refusal(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(*_: object) -> None:
        where = "Exception from src/inference/src/cpp/core.cpp:117:"
        raise RuntimeError(f"{where}\n{os.strerror(errno.EAGAIN)}\n\n")

    # In bfloat16 OpenVINO finds no kernels under oneDNN's limit.
    config = DetectConfig(device="cpu", precision="float32")
    with monkeypatch.context() as starved:
        starved.setattr(conversion, "_compiled", starve)
        backend = open_backend(small, config)
    assert backend.name == "torch"
    assert backend.notes == ["m is not converted for OpenVINO: the system starts no more threads."]
    assert open_backend(small, config).name == "openvino"


def test_a_refusal_says_what_openvino_says_not_where(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("Exception from src/a.cpp:117:\nException from b.cpp:5:\nNo such op.\n")

    monkeypatch.setattr(conversion, "_compiled", refuse)
    with pytest.raises(NotConvertibleError, match=r"converted for OpenVINO: No such op\.$"):
        converted_session(small, "float32")
