from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import timm
import torch

from muse_core.errors import UserError
from muse_core.models import fetching
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_backbone
from muse_core.models.fetching import fetch_released

from ..small_disk import small_disk
from .hub import Hub, serve
from .released_checkpoint import random_backbone, teacher_of, write_checkpoint

NAME, FILE = "muse-vit-s16", "vit_s_16-224.pth"


@pytest.fixture(scope="module", autouse=True)
def small_vits() -> Iterator[None]:
    """ViTs of a third of the blocks, with short MLPs: to fetch a file takes time by its size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", partial(timm.create_model, depth=4, mlp_ratio=0.5))
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("released") / FILE
    return write_checkpoint(path, teacher_of(random_backbone("vit_s_16-224"))).read_bytes()


@pytest.fixture(params=["links", "no links"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with links, and one as on Windows without the privilege to create them."""
    if request.param == "no links":
        monkeypatch.setattr(
            "huggingface_hub.file_download.are_symlinks_supported", lambda *_: False
        )
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_a_model_is_fetched_once_and_its_bytes_are_reported(
    hub: Hub, checkpoint: bytes, tmp_path: Path, cache: Path
) -> None:
    hub.put(FILE, checkpoint)
    seen: list[tuple[int, int, str]] = []
    out = tmp_path / "m.safetensors"
    report = lambda *progress: seen.append(progress)  # noqa: E731
    assert fetch_released(NAME, out, mpp=0.25, on_progress=report, cache=cache) == out
    card = read_card(out)
    assert (card.name, card.mpp, card.fov_px, card.licence) == (NAME, 0.25, 224, "Apache-2.0")
    assert seen[-1][:2] == (len(checkpoint), len(checkpoint))
    fetch_released(NAME, out, cache=cache)
    assert hub.downloads == 1
    original = random_backbone("vit_s_16-224")
    torch.testing.assert_close(load_backbone(out)[0].state_dict(), original.state_dict())


def test_without_a_server_the_cache_is_enough(
    hub: Hub, checkpoint: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(FILE, checkpoint)
    fetch_released(NAME, tmp_path / "a.safetensors", cache=cache)
    # The library would wait between its retries.
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)
    assert (tmp_path / "b.safetensors").is_file()
    with pytest.raises(UserError, match="cannot be reached"):
        fetch_released("muse-r50", tmp_path / "c.safetensors", cache=cache)


def test_the_names_in_the_authors_code_do_as_well(
    hub: Hub, checkpoint: bytes, tmp_path: Path
) -> None:
    hub.put(f"muse-{FILE}", checkpoint)
    fetch_released(NAME, tmp_path / "m.safetensors", cache=tmp_path / "cache")


def test_a_damaged_download_is_refused(
    hub: Hub, checkpoint: bytes, tmp_path: Path, cache: Path
) -> None:
    hub.put(FILE, checkpoint)
    hub.damaged = True
    out = tmp_path / "m.safetensors"
    with pytest.raises(UserError, match="checksum is wrong"):
        fetch_released(NAME, out, cache=cache)
    assert not out.exists()
    hub.damaged = False
    fetch_released(NAME, out, cache=cache)
    assert out.is_file()


def test_a_damaged_cache_is_fetched_anew(
    hub: Hub, checkpoint: bytes, tmp_path: Path, cache: Path
) -> None:
    hub.put(FILE, checkpoint)
    fetch_released(NAME, tmp_path / "a.safetensors", cache=cache)
    blob = max(cache.rglob("*"), key=lambda p: p.is_file() and p.stat().st_size)
    blob.resolve().write_bytes(b"x" * len(checkpoint))
    fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)
    assert hub.downloads == 2


def test_a_cache_that_was_damaged_offline_is_not_taken(
    hub: Hub, checkpoint: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(FILE, checkpoint)
    fetch_released(NAME, tmp_path / "a.safetensors", cache=cache)
    next(cache.rglob(FILE)).resolve().write_bytes(b"x" * len(checkpoint))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached|could not be fetched"):
        fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)


def test_a_copy_of_unknown_checksum_is_not_taken_offline(
    hub: Hub, checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(FILE, checkpoint)
    cache = tmp_path / "cache"
    fetch_released(NAME, tmp_path / "a.safetensors", cache=cache)
    link = next(cache.rglob(FILE))
    link.resolve().replace(link)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="has not been checked yet"):
        fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)
    assert hub.downloads == 1


def test_content_that_models_share_is_under_another_hash(
    hub: Hub, checkpoint: bytes, tmp_path: Path
) -> None:
    hub.put(FILE, checkpoint)
    cache = tmp_path / "cache"
    fetch_released(NAME, tmp_path / "a.safetensors", cache=cache)
    blob = next(cache.rglob(FILE)).resolve()
    shared = cache / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    fetch_released(NAME, tmp_path / "b.safetensors", cache=cache)
    assert hub.downloads == 1


def test_a_download_that_breaks_off_is_refused_in_a_sentence(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library would retry for a minute.
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.put(FILE, b"x" * 100_000)
    hub.cut = True
    with pytest.raises(UserError, match=r"could not be fetched|damaged|truncated"):
        fetch_released(NAME, tmp_path / "m.safetensors", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"<html>no weights</html>", "is a web page"), (b"", "no torch checkpoint")],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    hub: Hub, tmp_path: Path, content: bytes, sentence: str
) -> None:
    hub.put(FILE, content)
    with pytest.raises(UserError, match=sentence):
        fetch_released(NAME, tmp_path / "m.safetensors", cache=tmp_path / "cache")


def test_another_model_under_the_name_is_refused(
    hub: Hub, checkpoint: bytes, tmp_path: Path
) -> None:
    hub.put("r50-224.pth", checkpoint)
    with pytest.raises(UserError, match="holds muse-vit-s16, not muse-r50"):
        fetch_released("muse-r50", tmp_path / "m.safetensors", cache=tmp_path / "cache")


def test_missing_files_and_unknown_names_are_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no file r50-512\.pth"):
        fetch_released("lfov-muse-r50", tmp_path / "m.safetensors", cache=tmp_path / "cache")
    with pytest.raises(UserError, match="choose from muse-r50"):
        fetch_released("muse-large", tmp_path / "m.safetensors", cache=tmp_path / "cache")


def test_the_progress_bar_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int, str]] = []
    bar = fetching._reporting(lambda *p: seen.append(p), "m")(total=10, name="any", disable=True)
    bar.update(4)
    bar.update(6)
    bar.close()
    assert seen == [(4, 10, "m"), (10, 10, "m")]
    assert capsys.readouterr().err == ""


def test_on_a_full_disk_the_folder_of_the_download_is_named(
    hub: Hub, checkpoint: bytes, tmp_path: Path
) -> None:
    hub.put(FILE, checkpoint)
    with small_disk(tmp_path / "full") as full:
        with pytest.raises(UserError, match=re.escape(f"no room for {FILE} in {full}; ")):
            fetch_released(NAME, tmp_path / "m.safetensors", cache=full)
        assert not [p for p in full.rglob("*") if p.stat().st_size > 1000 and p.is_file()]
    assert not list(tmp_path.glob("*m.safetensors*"))
