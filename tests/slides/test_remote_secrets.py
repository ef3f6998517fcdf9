"""Addresses with a password or signature: they give access, and stand nowhere afterwards."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr.writer import write_image

from muse_core.errors import UserError
from muse_core.files.remote import name_of, without_secrets
from muse_core.nuclei.store import identify_slide
from muse_core.slides import open_slide

from ..cli.running import run
from ..detect.blobs import scene
from ..job_inputs import write_model
from .slide_server import SlideServer

Capture = pytest.CaptureFixture[str]
ODD = "a b%20#é.tiff"
LOGIN, SIGNATURE = "bob:hunter2", "X-Amz-Signature=s3cr3t"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    rgb = scene(300, 200).rgb
    scale = (20_000, 20_000)
    tifffile.imwrite(root / "s.tiff", rgb, photometric="rgb", resolution=scale, resolutionunit=3)
    shutil.copy(root / "s.tiff", root / ODD)
    group = zarr.open_group(root / "s.zarr", mode="w")
    write_image(np.moveaxis(rgb, -1, 0), group, axes="cyx", scale_factors=[2])
    return root


def with_login(server: SlideServer, login: str = LOGIN) -> str:
    return server.address.replace("//", f"//{login}@")


@pytest.mark.parametrize("name", ["s.tiff", "s.zarr"])
def test_a_password_is_used_and_not_shown(server: SlideServer, folder: Path, name: str) -> None:
    server.login = LOGIN
    address = f"{with_login(server)}/{name}"
    with open_slide(address) as far, open_slide(folder / name) as near:
        np.testing.assert_array_equal(far.read(far.bounds), near.read(near.bounds))
    server.status = 503
    with pytest.raises(UserError) as refused:
        open_slide(address)
    assert str(refused.value).startswith(f"{server.address}/{name} cannot be read: the server")
    server.status = 0
    for wrong in (f"{with_login(server, 'bob:wrong')}/{name}", f"{with_login(server)}/none.zarr"):
        with pytest.raises(UserError) as refused:
            open_slide(wrong)
        assert "bob" not in str(refused.value)


def test_what_is_signed_anew_is_the_same_slide(server: SlideServer) -> None:
    server.signature = SIGNATURE
    tiff, again = (f"{server.address}/s.tiff?{SIGNATURE}&X-Amz-Expires={n}" for n in (60, 61))
    assert identify_slide(tiff) == identify_slide(again)
    server.signature, server.login = "", LOGIN
    group = f"{with_login(server)}/s.zarr"
    named = identify_slide(group)
    server.login = "eve:other"
    assert identify_slide(f"{with_login(server, server.login)}/s.zarr") == named


def test_neither_results_nor_sentences_hold_what_grants_access(
    server: SlideServer, tmp_path: Path, capsys: Capture
) -> None:
    server.signature = SIGNATURE
    model, out = write_model(tmp_path / "m.safetensors"), tmp_path / "out"
    for expires in (60, 61):
        query = f"{SIGNATURE}&X-Amz-Expires={expires}"
        slides = [f"{server.address}/{name}?{query}" for name in ("s.tiff", "none.tiff")]
        assert run("detect", *slides, "--out", out, "--model", model) == 1
    said = capsys.readouterr()
    assert "finished before" in said.err
    written = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert "s3cr3t" not in f"{said.err}{said.out}{written.decode()}"
    with (out / "summary.csv").open(newline="") as file:
        rows = {row["result"]: row["slide"] for row in csv.DictReader(file)}
    assert rows == {
        n.replace("tiff", "csv"): f"{server.address}/{n}" for n in ("s.tiff", "none.tiff")
    }
    command = ("features", slides[0], "--points", out / "s.csv", "--out", tmp_path / "f.zarr")
    assert run(*command, "--model", model) == 2
    assert "s3cr3t" not in capsys.readouterr().err


@pytest.mark.parametrize("spelt", ["a%20b%2520%23%C3%A9.tiff", "a b%2520%23é.tiff"])
def test_names_of_any_characters(server: SlideServer, folder: Path, spelt: str) -> None:
    address = f"{server.address}/{spelt}"
    with open_slide(address) as far:
        assert far.name == ODD
    assert identify_slide(address) == identify_slide(folder / ODD)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:p%40@host:8/a@b.svs", "https://host:8/a@b.svs"),
        ("https://u:p@w@host/a.svs?id=3&version=2", "https://host/a.svs?id=3&version=2"),
        ("https://host/a.svs?X-Amz-Date=1&X-Amz-Signature=2&id=3", "https://host/a.svs?id=3"),
        ("https://x.net/c/a.tif?sv=1&se=2&sr=b&sp=r&sig=3", "https://x.net/c/a.tif"),
        ("https://host/d?file=a.svs&access_token=1", "https://host/d?file=a.svs"),
        ("s3://key:secret@bucket/a.svs", "s3://bucket/a.svs"),
        ("abfs://container@account/a.svs", "abfs://container@account/a.svs"),
        ("/slides/u:p@a.svs?sig=1", "/slides/u:p@a.svs?sig=1"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://host/o/folder%2Fa.svs?alt=media", "a.svs"),
        ("s3://bucket/a%20b.svs", "a%20b.svs"),
        ("https://host/a%0Ab.svs", "a%0Ab.svs"),
        ("https://u:p@host", "host"),
        ("s3://bucket/1:2.svs", "1-2.svs"),
        ("https://host/a%3Fb%5Cc.svs. ", "a-b-c.svs"),
        ("https://host/aux.svs", "_aux.svs"),
    ],
)
def test_the_name_is_that_of_the_file(address: str, name: str) -> None:
    assert name_of(address) == name
