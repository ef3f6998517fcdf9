"""Converted models: their results, when they are converted, and damaged ones."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial import cKDTree

from muse_core.detect import DetectConfig, Detector, open_backend
from muse_core.detect.backends import conversion, converted, openvino_library, torch_backend
from muse_core.detect.backends.backend import NotConvertibleError
from muse_core.detect.backends.converted_network import ConvertedNetwork
from muse_core.detect.backends.drawn_tissue import drawn_tissue
from muse_core.detect.backends.openvino_session import Outputs, Session
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.config import THIN, BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.registry import list_models, resolve_model
from muse_core.slides import Region, open_slide

from .small_models import SMALL, model_of

pytestmark = [
    pytest.mark.skipif(
        "ONEDNN_MAX_CPU_ISA" in os.environ,
        reason="OpenVINO chooses its kernels by the processor, and finds none under oneDNN's limit",
    ),
    # Not importorskip: a direct import starts its telemetry, a process for each conversion.
    pytest.mark.skipif(not openvino_library.is_installed(), reason="OpenVINO is not installed"),
]

VIT = ModelConfig(
    BackboneConfig(encoder="vit_tiny_patch16_224", decoder_channels=(8, 8, 8, 8), hyper_channels=8),
    HeadConfig(hidden_channels=8),
)
BUNDLED = [entry.name for entry in list_models() if entry.bundled]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSE_CONVERTED_DIR", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    save_model(model_of(SMALL), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture(scope="module")
def small_converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stored conversion of the small model."""
    folder = tmp_path_factory.mktemp("converted")
    save_model(model_of(SMALL), folder / "small.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_CONVERTED_DIR", str(folder))
        backend_of(folder / "small.safetensors")
    return entry_of(folder / "small.safetensors", folder)


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """When called, prevents any further conversion."""

    def forbid() -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("converted again")

        monkeypatch.setattr(conversion, "convert_model", refuse)

    return forbid


def backend_of(path: Path, backend: str = "openvino") -> str:
    return open_backend(path, DetectConfig(device="cpu", backend=backend)).name


@pytest.mark.parametrize("name", BUNDLED)
def test_in_float32_backends_find_the_very_same_nuclei(name: str, cmu_slide: Path) -> None:
    tables: list[pd.DataFrame] = []
    with open_slide(cmu_slide) as slide:
        for backend in ("torch", "openvino"):
            config = DetectConfig("cpu", backend=backend, tile_px=512, precision="float32")
            result = Detector(open_backend(resolve_model(name), config), config).detect(
                slide, Region(400, 900, 700, 700)
            )
            assert (result.backend, result.precision) == (backend, "float32")
            tables.append(result.table.sort_values(["x", "y"], ignore_index=True))
    one, other = tables
    assert len(one) > 100
    distance, nearest = cKDTree(other[["x", "y"]]).query(one[["x", "y"]])
    assert len(one) == len(other)
    assert distance.max() < 0.05
    assert len(set(nearest)) == len(one)
    assert (one["class_name"].to_numpy() == other["class_name"].to_numpy()[nearest]).all()


def found_by(
    backend: str, name: str, slide_path: Path, precision: str | None = None
) -> pd.DataFrame:
    # The same tiles, for near a seam a network answers a little otherwise. Where most nuclei are.
    config = DetectConfig("cpu", backend=backend, tile_px=1024, precision=precision or "auto")
    with open_slide(slide_path) as slide:
        result = Detector(open_backend(resolve_model(name), config), config).detect(
            slide, Region(640, 600, 780, 1400)
        )
    assert (result.backend, result.device) == (backend, "cpu")
    assert precision in (None, result.precision)
    return result.table


def assert_agree(
    one: pd.DataFrame,
    other: pd.DataFrame,
    within_px: float = 0.5,
    found: float = 0.995,
    alike: float = 0.99,
) -> None:
    assert len(one) > 700
    for a, b in ((one, other), (other, one)):
        distance, nearest = cKDTree(b[["x", "y"]]).query(a[["x", "y"]])
        near = distance <= within_px
        assert near.mean() >= found
        same = a["class_name"].to_numpy()[near] == b["class_name"].to_numpy()[nearest[near]]
        assert same.mean() >= alike


@pytest.mark.parametrize("name", BUNDLED)
def test_backends_agree_with_each_other_and_with_float32(
    name: str, cmu_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchs, openvinos = (found_by(backend, name, cmu_slide) for backend in ("torch", "openvino"))
    assert_agree(torchs, openvinos)
    in_float32 = torch.autocast("cpu", torch.bfloat16, enabled=False)
    monkeypatch.setattr(torch_backend, "autocast_for", lambda _: in_float32)
    exact = found_by("torch", name, cmu_slide)
    assert_agree(exact, openvinos)
    assert_agree(exact, torchs)


needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="NNCF is not installed")


@needs_nncf
@pytest.mark.slow
def test_in_int8_nearly_all_nuclei_are_the_same_and_the_network_takes_a_third_of_the_bytes(
    cmu_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, sizes = [], []
    for precision in (None, "int8"):
        folder = tmp_path / str(precision)
        monkeypatch.setenv("MUSE_CONVERTED_DIR", str(folder))
        tables.append(found_by("openvino", "muse-small", cmu_slide, precision))
        entry = entry_of(resolve_model("muse-small"), folder)
        sizes.append((entry / "network.blob").stat().st_size)
    assert sizes[1] < sizes[0] / 3 * (2 if openvino_library.floats_of("auto") == "float32" else 1)
    assert_agree(tables[0], tables[1], within_px=1.0, found=0.93, alike=0.93)


@needs_nncf
@pytest.mark.slow  # to import NNCF and to calibrate takes a quarter of a minute
def test_in_int8_only_a_conversion_needs_nncf(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # The small model is untrained: in int8 it may differ by more than a conversion may.
    model, config = resolve_model("muse-small"), DetectConfig(device="cpu", precision="int8")
    assert open_backend(model, config).precision == "int8"
    assert capfd.readouterr().out == "", "NNCF draws no bars"
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert open_backend(model, config).precision == "int8"
    monkeypatch.setenv("MUSE_CONVERTED_DIR", str(own_cache / "empty"))
    with pytest.raises(UserError, match=r"pip install 'napari-muse\[int8\]'"):
        open_backend(model, config)


def test_int8_is_for_openvino_on_processors(small: Path) -> None:
    with pytest.raises(UserError, match="Only OpenVINO runs in int8, not torch"):
        DetectConfig(precision="int8", backend="torch")
    with pytest.raises(UserError, match="int8 runs on CPUs only, not on cuda"):
        open_backend(small, DetectConfig(precision="int8", device="cuda"))


def test_what_openvino_cannot_compute_is_not_computed_in_int8(
    tmp_path: Path, own_cache: Path
) -> None:
    save_model(model_of(VIT), tmp_path / "vit.safetensors")
    with pytest.raises(UserError, match="is a ViT, which only torch computes"):
        open_backend(tmp_path / "vit.safetensors", DetectConfig(device="cpu", precision="int8"))


def test_with_a_converted_model_detection_loads_no_torch(
    small: Path, own_cache: Path, tmp_path: Path, cmu_slide: Path
) -> None:
    code = (
        "import sys\n"
        "from muse_core.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'timm', 'dask', 'zarr', 'openvino_telemetry'} & {"
        "n for n, m in sys.modules.items()"
        " if m is not None}\n"
        "    print(sorted(heavy), end.code)\n"
    )
    command = [sys.executable, "-c", code, "detect", str(cmu_slide), "--model", str(small)]
    command += ["--region", "900,900,300,300", "--out", str(tmp_path / "n.csv"), "--device", "cpu"]
    said = []
    for _ in range(2):
        done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
        said.append(done.stdout.splitlines())
    result = json.loads(said[1][0])
    assert (result["backend"], result["device"]) == ("openvino", "cpu")
    assert result["precision"] in ("bfloat16", "float32")
    assert result["nuclei"] > 0
    assert said[1][1] == "[] 0"
    # The first run converted the model with torch, and found the same nuclei.
    assert "torch" in said[0][1]
    assert json.loads(said[0][0])["nuclei"] == result["nuclei"]


def test_a_model_is_converted_once_for_its_weights(
    small: Path, own_cache: Path, tmp_path: Path, no_conversion: Callable[[], None]
) -> None:
    backend_of(small)
    other = tmp_path / "other.safetensors"
    save_model(model_of(SMALL, seed=1), other)
    backend_of(other)
    assert len(list(own_cache.glob("*/facts.json"))) == 2
    no_conversion()
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(small.read_bytes())
    assert backend_of(copy) == "openvino"


@pytest.mark.parametrize("file", ["network.blob", "facts.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "empty"])
def test_what_is_damaged_is_not_loaded(
    small_converted: Path, tmp_path: Path, file: str, damage: str
) -> None:
    path = shutil.copytree(small_converted, tmp_path / "entry") / file
    facts = json.loads((path.parent / "facts.json").read_text())
    wanted = {key: value for key, value in facts.items() if key not in ("blob", "deviation")}
    assert converted._load(path.parent, wanted) is not None
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "gone":
        path.unlink()
    else:
        changed = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"cut": whole[:middle], "changed": changed, "empty": b""}[damage])
    assert converted._load(path.parent, wanted) is None


def entry_of(model: Path, folder: Path) -> Path:
    found = [
        facts.parent
        for facts in folder.glob("*/facts.json")
        if json.loads(facts.read_text())["weights"] == sha256_of(model)
    ]
    assert len(found) == 1
    return found[0]


def test_a_damaged_conversion_is_made_again(
    small: Path, own_cache: Path, no_conversion: Callable[[], None]
) -> None:
    backend_of(small)
    blob = entry_of(small, own_cache) / "network.blob"
    blob.write_bytes(blob.read_bytes()[:-100])
    assert backend_of(small) == "openvino"
    no_conversion()
    assert backend_of(small) == "openvino"


def test_a_cache_that_cannot_be_written_is_no_reason_not_to_detect(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MUSE_CONVERTED_DIR", str(tmp_path / "file" / "converted"))
    assert backend_of(small) == "openvino"


def test_what_openvino_computes_wrongly_is_refused_and_torch_goes_on(
    small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, no_conversion: Callable[[], None]
) -> None:
    class Off(Session):
        @contextmanager
        def computed(self, image: np.ndarray) -> Iterator[Outputs]:
            with super().computed(image) as (maps, out):
                yield maps, np.roll(out, 1, axis=2)

    monkeypatch.setattr(conversion, "Session", Off)
    off = r"OpenVINO's results for m in \w+ differ from torch's by [\d.]+%"
    with pytest.raises(NotConvertibleError, match=off):
        backend_of(small)
    no_conversion()
    backend = open_backend(small, DetectConfig(device="cpu"))
    assert backend.name == "torch"
    assert "torch is used instead" in backend.notes[0]


@pytest.mark.parametrize(
    "facts", [{"processor": "of another machine"}, {}], ids=["another machine", "unknown"]
)
def test_a_refusal_holds_for_the_processor_that_it_was_met_on(
    small: Path, own_cache: Path, facts: dict[str, str]
) -> None:
    """A home folder may be shared, and ONEDNN_MAX_CPU_ISA set for a single run."""
    assert backend_of(small) == "openvino"
    (entry,) = own_cache.glob("*/facts.json")
    known = json.loads(entry.read_text())
    (entry.parent / "network.blob").write_bytes(b"")
    blob = hashlib.sha256(b"").hexdigest()
    entry.write_text(json.dumps({**known, "blob": blob, "refused": "No such op.", **facts}))
    assert backend_of(small) == "openvino"
    assert "refused" not in json.loads(entry.read_text())


def test_a_vit_is_computed_by_torch(tmp_path: Path, own_cache: Path) -> None:
    save_model(model_of(VIT), tmp_path / "vit.safetensors")
    assert backend_of(tmp_path / "vit.safetensors", "auto") == "torch"
    with pytest.raises(UserError, match="is a ViT, which only torch computes"):
        backend_of(tmp_path / "vit.safetensors")


def test_without_openvino_torch_computes_and_who_asks_for_it_is_told(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not openvino_library.is_installed()
    assert backend_of(small, "auto") == "torch"
    with pytest.raises(UserError, match=r"pip install 'napari-muse\[openvino\]'"):
        backend_of(small)


def test_nothing_is_sent_to_its_makers(small: Path, own_cache: Path) -> None:
    backend_of(small)
    assert sys.modules["openvino_telemetry"] is None


def test_openvino_is_for_processors(small: Path) -> None:
    with pytest.raises(UserError, match="runs on CPUs only, not on cuda"):
        open_backend(small, DetectConfig(device="cuda", backend="openvino"))


@pytest.mark.parametrize(
    ("config", "align_corners"), [(SMALL, True), (THIN, False)], ids=["stride 4", "stride 8"]
)
def test_in_float32_it_computes_what_torch_computes(
    config: ModelConfig, align_corners: bool, tmp_path: Path
) -> None:
    changed = ModelConfig(
        BackboneConfig(**{**config.backbone.__dict__, "align_corners": align_corners}), config.head
    )
    save_model(model_of(changed), tmp_path / "m.safetensors")
    made = conversion.convert_model(tmp_path / "m.safetensors", "float32")
    session = Session(made.blob, "float32")
    model = load_model(tmp_path / "m.safetensors")
    network = ConvertedNetwork(model).eval()
    # Several shapes, none of them the traced one.
    for side in ((64, 96), (320, 128), (64, 96)):
        image = drawn_tissue(*side, seed=side[0])
        with torch.inference_mode():
            proposals, *expected = network(torch.from_numpy(image)[None])
        with session.computed(image) as (maps, out):
            for found, given in zip([out, *maps], [proposals, *expected], strict=True):
                scale = float(given.abs().max())
                np.testing.assert_allclose(found, given[0].numpy(), atol=2e-3 * scale)


def test_the_conversions_used_last_are_kept(
    small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted, "_KEPT", 2)
    for age in range(4):
        entry = own_cache / f"old{age}"
        entry.mkdir(parents=True)
        (entry / "facts.json").write_text("{}")
        os.utime(entry / "facts.json", (1000 - age, 1000 - age))
    backend_of(small)
    left = {path.name for path in own_cache.iterdir() if path.is_dir()}
    assert len(left) == 2
    assert "old0" in left
