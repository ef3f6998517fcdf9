from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from muse_core.models.card import read_card

from ..finetune.annotated import reviewed_store
from ..job_inputs import CLASSES, write_model, write_points_folder
from .running import Capture, detect, error_line, others_than, run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "case"
    folder.mkdir()
    return reviewed_store(folder, [(20, 20, 140), (260, 20, 140), (20, 260, 140)])


def test_adapts_to_a_store_and_says_before_and_after(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    slide = shutil.move(store.parent / "slide0.png", tmp_path / "elsewhere.png")
    what = ("--annotations", store, "--slide", slide, "--slide-mpp", 0.5)
    how = ("--mode", "adapt", "--model", base, "--steps", 4, "--device", "cpu")
    same = ("--same-class", "tumor=large")
    assert run("finetune", *what, *how, *same, "--out", out, "--json") == 0
    said = capsys.readouterr()
    # There is no loss before the first step.
    assert "step 0  f_det" in said.err
    assert "None" not in said.err
    assert re.search(r"f_class \(\w+ [\d.]+, \w+ [\d.]+\)", " ".join(said.err.split()))
    result = json.loads(said.out)
    assert result["steps_done"] == 4
    for when in ("before", "after"):
        assert {"f_det", "f_avg", "f_class", "interval_95"} <= result[when].keys()
    assert result["data"]["stores"][0]["store"] == store.name
    card = read_card(out)
    assert card.parent == "tiny"
    assert card.training["settings"]["class_map"] == [["tumor", "large"]]


def test_a_slide_that_states_its_scale_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = reviewed_store(tmp_path, [(20, 20, 200), (240, 20, 200)], mpp=0.4)
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    how = ("--slide-mpp", 0.5, "--mode", "adapt", "--steps", 1, "--device", "cpu", "--json")
    assert run("finetune", "--annotations", store, *how, "--model", base, "--out", out) == 0
    (read,) = json.loads(capsys.readouterr().out)["data"]["stores"]
    assert read["mpp"] == pytest.approx(0.4)


def test_all_weights_learn_from_the_rest_of_the_slide_unless_it_is_turned_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = reviewed_store(tmp_path, [(20, 20, 160), (620, 20, 160), (620, 620, 160)], 800)
    base = write_model(tmp_path / "base.safetensors")
    what = ("--annotations", store, "--slide-mpp", 0.5, "--model", base, "--sample-px", 64)
    how = ("--steps", 1, "--batch", 1, "--device", "cpu", "--json")
    for switch, where in (("--own-slides", "on your slides"), ("--no-own-slides", "around the")):
        out = tmp_path / f"{switch}.safetensors"
        assert run("finetune", *what, *how, switch, "--out", out) == 0
        said = capsys.readouterr()
        assert f"mm² that nobody has reviewed took part, {where}" in said.err
        (tissue,) = json.loads(said.out)["data"]["unlabelled_tissue"]
        assert bool(tissue["places"]) == (switch == "--own-slides")
        assert read_card(out).training["unlabelled_tissue"] == [tissue]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--mode", "adapt"), "a model to start from"),
        (("--annotations", "missing.muse"), "There is no annotation store missing.muse"),
        (("--slide", "a.png", "--slide", "b.png"), "more --slide than --annotations"),
        (("--trian", "a"), "knows no option '--trian'; perhaps --train is meant."),
        (("--zzz",), "knows no option '--zzz'; see muse finetune --help."),
        (("--same-class", "tumor"), "takes OLD=NEW"),
        (("--same-class", "a=b", "--same-class", "a=c"), "a cannot mean both b and c"),
        (("--train", "folder"), "give it with --mpp"),
    ],
)
def test_refuses_what_it_cannot_use(
    options: tuple[str, ...],
    sentence: str,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.safetensors"
    assert run("finetune", "--annotations", store, "--out", out, *options) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_a_model_replaces_nothing_but_a_model(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, slide = write_model(tmp_path / "base.safetensors"), store.parent / "slide0.png"
    before = {p: p.read_bytes() for p in (store, slide)}
    how = ("--slide-mpp", 0.5, "--mode", "adapt", "--model", base, "--steps", 1)
    for out in before:
        assert run("finetune", "--annotations", store, *how, "--out", out) == 2
        assert "is there already and no model" in error_line(capsys)
    assert before == {p: p.read_bytes() for p in before}
    assert sorted(p.name for p in store.parent.iterdir()) == [
        "slide0.png",
        "slide0.png.muse",
        "slide0.png.muse.lock",
    ]
    assert run("models", "import", base, "--out", slide) == 2
    assert "is there already and no model" in error_line(capsys)


@pytest.mark.parametrize("name", ["mine", "mine.pth", "mine.2"])
def test_a_model_has_the_ending_by_which_models_are_found(
    name: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("finetune", "--annotations", store, "--out", tmp_path / name) == 2
    assert "the name of a model's file ends in .safetensors" in error_line(capsys)
    assert not (tmp_path / name).exists()


def test_adapts_to_a_points_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    folder = write_points_folder(tmp_path / "points", n_images=3)
    what = ("--train", folder, "--mpp", 0.5, "--mode", "adapt", "--model", base)
    assert run("finetune", *what, "--steps", 2, "--device", "cpu", "--out", out) == 0
    assert "On the holdout fields" in capsys.readouterr().out


def test_all_weights_learn_other_classes_than_those_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    folder = write_points_folder(tmp_path / "points", ("epithelial", "inflammatory"))
    what = ("--train", folder, "--mpp", 0.5, "--model", base, "--same-class", "tumor=epithelial")
    how = ("--steps", 1, "--batch", 1, "--sample-px", 64, "--device", "cpu", "--out", out)
    assert run("finetune", *what, *how) == 0
    assert [c["name"] for c in read_card(out).classes] == ["epithelial", "inflammatory"]
    assert "New to the model: 'inflammatory'" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["adapt", "full"])
def test_the_same_class_must_be_there_on_both_sides(
    tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    own = [c["name"] for c in read_card(base).classes]
    for classes in (("epithelial", "inflammatory"), tuple(own)):
        folder = write_points_folder(tmp_path / classes[0], classes, n_images=3)
        what = ("--train", folder, "--mpp", 0.5, "--model", base, "--mode", mode, "--out", out)
        how = ("--steps", 1, "--sample-px", 64, "--device", "cpu", "--same-class")
        assert run("finetune", *what, *how, f"{own[0]}=epitelial") == 2
        said = capsys.readouterr().err
        assert f"no class 'epitelial' to learn that could mean the same as {own[0]!r}" in said
        assert f"there are {', '.join(classes)}" in said
        assert run("finetune", *what, *how, f"tumour={classes[0]}") == 2
        assert "has no class 'tumour'" in capsys.readouterr().err
        assert not out.exists()


def test_sets_with_other_classes_join_by_a_class_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_points_folder(tmp_path / "own", ("lymphocyte", "tumor"))
    other = write_points_folder(tmp_path / "other", ("malignant", "nucleus"))
    out = tmp_path / "out.safetensors"
    itself, mapped = tmp_path / "itself.json", tmp_path / "mapped.json"
    itself.write_text('{"classes": {"lymphocyte": "lymphocyte", "tumor": "tumor"}}')
    mapped.write_text('{"classes": {"malignant": ["tumor"], "nucleus": "*"}, "exhaustive": false}')
    sets = ("--train", own, "--mpp", 0.5, "--train", f"{other}=0.25", "--encoder", "thin")
    maps = ("--class-map", itself, "--class-map", mapped)
    length = ("--steps", 1, "--batch", 2, "--sample-px", 64, "--device", "cpu")
    assert run("finetune", *sets, *maps, *length, "--out", out) == 0
    card = read_card(out)
    assert [c["name"] for c in card.classes] == ["lymphocyte", "tumor"]
    assert card.architecture["backbone"]["map_stride_px"] == 8
    described = {d["folder"].split("/")[-1]: d for d in card.training["data"]}
    assert described["other"]["class_map"] == {"malignant": ["tumor"], "nucleus": ["*"]}
    assert described["other"]["exhaustive"] is False
    assert described["own"]["mpp"] == 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"classes": {"large": "tumour"}}', "holds the class"),
        ('{"classes": [', "cannot be understood"),
        (None, "Cannot read the class map"),
    ],
)
def test_class_maps_that_do_not_fit_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    folder = write_points_folder(tmp_path / "points")
    path = tmp_path / "map.json"
    if content is not None:
        path.write_text(content)
    what = ("--train", f"{folder}=0.5", "--class-map", path, "--device", "cpu")
    assert run("finetune", *what, "--out", tmp_path / "out.safetensors") == 2
    assert words in capsys.readouterr().err


def test_two_maps_for_three_folders_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"classes": {}}')
    folders = ("--train", "a=0.5", "--train", "b=0.5", "--train", "c=0.5")
    maps = ("--class-map", path, "--class-map", path)
    assert run("finetune", *folders, *maps, "--out", tmp_path / "out.safetensors") == 2
    assert "one for each in turn" in capsys.readouterr().err


def test_a_run_from_a_file_and_again_from_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_points_folder(tmp_path / "points")
    write_model(tmp_path / "base.safetensors")
    (tmp_path / "run.toml").write_text(
        'out = "mine.safetensors"\nbase = "base.safetensors"\nsteps = 3\nbatch = 1\nseed = 5\n'
        'device = "cpu"\nviews = {crop_px = 64}\n[[train]]\nfolder = "points"\nmpp = 0.5\n'
    )
    over = ("--steps", 2, "--set", "views.blur_share=0.125", "--set", "seed=6", "--seed", 7)
    assert run("finetune", "--config", "run.toml", *over) == 0
    card = read_card("mine.safetensors")
    settings = card.training["settings"]
    assert (settings["steps"], settings["seed"], settings["batch"]) == (2, 7, 1)
    assert settings["views"]["crop_px"] == 64
    assert settings["views"]["blur_share"] == 0.125
    first = Path("mine.safetensors").read_bytes()
    assert str(tmp_path) not in card.to_text()
    # From another folder: the record knows where everything is.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path(tmp_path / "mine.safetensors").unlink()
    assert run("finetune", "--config", tmp_path / "mine.config.json") == 0
    assert (tmp_path / "mine.safetensors").read_bytes() == first
    capsys.readouterr()


def test_options_of_single_settings_still_work(tmp_path: Path) -> None:
    folder, out = write_points_folder(tmp_path / "points"), tmp_path / "out.safetensors"
    older = ("--batch=1", "--sample-px", 64, "--learning-rate", 1e-4, "--name", 2024)
    more = ("--encoder", "thin", "--validate-every", 1, "--workers", 0, "--no-own-slides")
    what = ("--train", f"{folder}=0.5", "--steps", 1, "--device", "cpu", "--out", out)
    assert run("finetune", *older, *what, *more) == 0
    card = read_card(out)
    assert card.name == "2024"
    assert card.architecture["backbone"]["map_stride_px"] == 8
    settings = card.training["settings"]
    assert (settings["batch"], settings["learning_rate"]) == (1, 1e-4)
    assert settings["views"]["crop_px"] == 64
    assert settings["consistency"]["own_slides"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--trian", "a"), "no option '--trian'"),
        (("stray",), "no argument 'stray'"),
        (("--batch",), "--batch needs a value"),
        (("--batch", "two"), "the field 'batch' is wrong"),
        (("--set", "steps"), "NAME=VALUE"),
        (("--set", "stepz=3"), "unknown field 'stepz'"),
        (("--set", "views=3"), "'views'"),
        (("--config", "none.toml"), "Cannot read none.toml"),
        (("--slide-mpp", "0.5"), "say something of --annotations"),
        (("--class-map", "map.json"), "Cannot read the class map"),
    ],
)
def test_settings_that_are_none_get_a_sentence(
    options: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("finetune", "--train", "points=0.5", "--out", "out.safetensors", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "--out"), (("--mpp", "0.5", "--out", "m"), "of --annotations is --slide-mpp")],
)
def test_what_is_missing_is_asked_for(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("finetune", *options) == 2
    assert words in capsys.readouterr().err


def test_tiles_that_state_their_scale_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_model(tmp_path / "base.safetensors"), tmp_path / "out.safetensors"
    folder = write_points_folder(tmp_path / "points", n_images=3)
    for path in (folder / "images").iterdir():
        Image.open(path).save(path.with_suffix(".tif"), dpi=(101_600, 101_600))
        path.unlink()
    what = ("--train", folder, "--mpp", 0.5, "--mode", "adapt", "--model", base, "--out", out)
    how = ("--steps", 1, "--device", "cpu")
    assert run("finetune", *what, *how) == 0
    assert f"3 of 3 images in {folder} state another scale" in capsys.readouterr().err
    assert out.exists()


def test_finetune_writes_a_model_that_detect_takes(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new.safetensors"
    data = ("--train", folder / "points", "--val", folder / "points", "--mpp", 0.5)
    other = ("--detection-only", f"{folder / 'other-classes'}=0.55")
    length = ("--steps", 2, "--batch", 1, "--validate-every", 1, "--device", "cpu", "--restart")
    base = ("--model", folder / "tiny.safetensors", "--name", "mine")
    assert run("finetune", *data, *other, *length, *base, "--out", out, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["steps_done"] == 2
    assert "step 1" in captured.err
    card = read_card(out)
    assert (card.name, card.parent) == ("mine", "tiny")
    assert [c["name"] for c in card.classes] == list(CLASSES)
    assert detect(folder, tmp_path / "n.csv", "--model", out) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--detection-only", "folder"), "takes DIR=MPP"),
        (("--train", "missing"), "There is no folder missing"),
        (("--mpp", "0"), "positive"),
        (("--model", "no-such-model"), "no model"),
        (("--out", "missing/m.safetensors"), "no folder missing"),
    ],
)
def test_finetune_refuses_what_it_cannot_use(
    options: tuple[str, ...], sentence: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "m.safetensors"
    usual = others_than(options, {"--mpp": 0.5, "--out": out})
    assert run("finetune", "--train", folder / "points", "--steps", 1, *usual, *options) == 2
    assert sentence in error_line(capsys)
    assert list(tmp_path.iterdir()) == []
