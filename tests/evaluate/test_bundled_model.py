"""Minimum accuracy of the bundled model, on real tiles and the real slide."""

from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.detect import Detector
from muse_core.evaluate.detection import evaluate_folder
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_model
from muse_core.models.registry import resolve_model
from muse_core.slides import Region, open_slide

KERATIN = Region(1290, 1250, 200, 400)
GLASS = (Region(100, 1500, 400, 400), Region(1750, 100, 400, 450), Region(0, 600, 600, 350))
EPIDERMIS = Region(900, 900, 300, 300)


@pytest.mark.parametrize(
    ("name", "f_det", "f_avg"),
    [
        ("muse-base", 0.877, 0.711),
        ("muse-small-breast", 0.878, 0.714),
        ("muse-small", 0.870, 0.705),
    ],
)
def test_figures_on_val_are_those_of_the_documentation(
    muse_data: Path, name: str, f_det: float, f_avg: float
) -> None:
    report = evaluate_folder(muse_data / "brcam2c" / "val", 0.5, resolve_model(name), device="cpu")
    assert report.f_det == pytest.approx(f_det, abs=0.01)
    assert report.f_avg == pytest.approx(f_avg, abs=0.02)


@pytest.mark.parametrize(
    ("every", "name", "f_det"),
    [
        (9, "muse-base", 0.850),
        (9, "muse-small-breast", 0.859),
        # The figures of the documentation, on all tiles.
        pytest.param(1, "muse-base", 0.774, marks=pytest.mark.slow),
        pytest.param(1, "muse-small-breast", 0.786, marks=pytest.mark.slow),
    ],
)
def test_other_classes_give_detection_only(
    muse_data: Path, tmp_path: Path, every: int, name: str, f_det: float
) -> None:
    folder = some_tiles(muse_data / "consep20x" / "train", tmp_path, every)
    figures = evaluate_folder(folder, 0.55, resolve_model(name), device="cpu").to_json()
    assert figures["f_det"] == pytest.approx(f_det, abs=0.01)
    assert figures["f_avg"] is None
    assert figures["f_class"] is None


def some_tiles(folder: Path, to: Path, every: int) -> Path:
    """Make a points-folder of every n-th tile of another."""
    for kind in ("images", "points"):
        (to / kind).mkdir()
        for file in sorted((folder / kind).iterdir())[::every]:
            (to / kind / file.name).symlink_to(file)
    return to


@pytest.mark.parametrize("name", ["muse-base", "muse-small-breast", "muse-small"])
def test_keratin_and_glass_hold_no_nuclei(cmu_slide: Path, name: str) -> None:
    areas = [KERATIN, *GLASS, EPIDERMIS]
    with open_slide(cmu_slide) as slide:
        table = Detector(load_model(resolve_model(name))).detect(slide, areas).table
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    assert EPIDERMIS.contains(x, y).sum() > 50
    assert KERATIN.contains(x, y).sum() < 5
    for glass in GLASS:
        assert not glass.contains(x, y).any()


@pytest.mark.parametrize("name", ["muse-base", None])
def test_it_is_the_default(name: str | None) -> None:
    assert resolve_model(name).stem == "muse-base"


@pytest.mark.parametrize("name", ["muse-base", "muse-small"])
def test_the_card_of_a_model_says_whose_data_it_learnt_from_and_under_which_licence(
    name: str,
) -> None:
    card = read_card(resolve_model(name))
    assert card.licence == "CC-BY-NC-SA-4.0"
    sets = {entry["set"].split("/")[0]: entry for entry in card.training["sets"]}
    assert set(sets) == {
        "brcam2c",
        "consep20x",
        "crchisto",
        "monusac",
        "monuseg",
        "nuinsseg",
        "ocelot",
    }
    assert all(entry["authors"] and entry["licence"] for entry in sets.values())
