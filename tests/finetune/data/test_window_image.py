"""Learning from an image that exists only in a napari window."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, StoreSource
from muse_core.finetune.config import ViewConfig
from muse_core.finetune.data.stores import fields_of_stores, read_stores
from muse_core.jobs import FinetuneJob
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, identify_slide
from muse_core.slides.arrays import array_level, arrays_source
from muse_core.slides.slide import Slide
from muse_core.slides.window import WindowServer, job_variables

from ...job_inputs import write_model
from ..annotated import CLASSES, MPP, SEMI, disc_slide, square


@pytest.fixture
def lent(tmp_path: Path) -> Iterator[tuple[Path, Path, Slide]]:
    """A file that represents an image of a window, the store of the image, and its slide."""
    nuclei = disc_slide(tmp_path / "discs.png")
    pixels = np.asarray(Image.open(tmp_path / "discs.png").convert("RGB"))
    server = WindowServer()
    path = server.file_for("discs", array_level(pixels, "discs").fingerprint())
    slide = Slide(replace(arrays_source(pixels, "discs"), path=path))
    server.lend(slide)
    names = [CLASSES[int(kind)] for kind in nuclei[:, 2]]
    target = tmp_path / "discs.layer.muse"
    scheme = ClassScheme.from_names(CLASSES)
    with AnnotationStore.create(target, identify_slide(path), scheme) as store:
        store.insert(nucleus_table(nuclei[:, 0], nuclei[:, 1], names, score=0.9, model="m"))
        store.add_region(square(30, 30, 300), reviewed=True)
    yield path, target, slide
    server.close()


def test_fields_are_read_from_the_window(
    lent: tuple[Path, Path, Slide], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, _ = lent
    for name, value in job_variables().items():
        monkeypatch.setenv(name, value)
    contents = read_stores([StoreSource(store, path, MPP, force_mpp=True)])
    assert contents[0].mpp == MPP
    (field,) = fields_of_stores(contents, MPP, 16, 2.0)
    pixels = np.asarray(Image.open(tmp_path / "discs.png").convert("RGB"))
    assert np.array_equal(np.asarray(field.image)[16:-16, 16:-16], pixels[30:330, 30:330])


def test_away_from_the_window_it_is_said_what_to_do(
    lent: tuple[Path, Path, Slide], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, _ = lent
    with pytest.raises(UserError, match="learn from it in the MUSE panel of that window"):
        read_stores([StoreSource(store)])
    monkeypatch.setattr(multiprocessing.current_process(), "authkey", b"of another process")
    with pytest.raises(UserError, match="only the MUSE panel of that window can work on it"):
        read_stores([StoreSource(store, path, MPP)])


def test_a_training_of_the_window_learns_from_it(
    lent: tuple[Path, Path, Slide], tmp_path: Path
) -> None:
    """Learn in a separate process, whose own processes read further tissue of the image."""
    path, store, _ = lent
    config = FinetuneConfig(
        stores=(StoreSource(store, path, MPP, force_mpp=True),),
        out=tmp_path / "out.safetensors",
        base=write_model(tmp_path / "base.safetensors"),
        steps=1,
        batch=2,
        validate_every=1,
        views=ViewConfig(crop_px=128),
        consistency=SEMI,
        workers=1,
        device="cpu",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "muse_core.jobs"],
        env=os.environ | job_variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdin is not None
        assert job.stdout is not None
        job.stdin.write(json.dumps(FinetuneJob(config).to_json()) + "\n")
        # Its end would cancel the job.
        job.stdin.flush()
        last = json.loads(job.stdout.read().splitlines()[-1])
    assert last["event"] == "done", last
    assert config.out.is_file()
