"""The annotated sets that the bundled models are trained on, and their class maps.

Images are resampled to 0.5 um/px once, with antialiasing, and kept in a work folder. The few tiles
of each set on which the score threshold is chosen, and the OCELOT patients on which figures are
reported, are never trained on; they are split by patient where names identify patients.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from muse_core.data.class_map import ANY
from muse_core.data.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.errors import UserError
from muse_core.finetune import LabelSet
from muse_core.slides import Region, open_slide

MPP = 0.5
CLASSES = ("lymphocyte", "stromal", "tumor")
NEGATIVES = Path(__file__).with_name("muse_small_breast_negatives.csv")
_TCGA = re.compile(r"TCGA-([0-9A-Z]{2})-[0-9A-Z]{4}")
_THRESHOLD_SHARE = 0.08
_REPORT_SHARE = 0.12
_LEAST_SIDE_PX = 64
"""At 0.5 um/px; a crop of a smaller tile would show mostly its mirror images."""


@dataclass(frozen=True)
class PublicSet:
    """A set in the data folder.

    Attributes:
        folder: Points-folder under the data folder.
        mpp: Microns per pixel.
        weight: Share of the crops.
        class_map: Candidate classes of its classes; None if they are the model's.
        exhaustive: Whether all nuclei are annotated.
        authors: For the card.
        licence: For the card.
        reported: Whether some of its patients are a holdout for figures.
        mosaic: Tiles per side that are joined into one image, for tiles smaller than a crop.
    """

    folder: str
    mpp: float
    weight: float
    class_map: Mapping[str, tuple[str, ...]] | None
    authors: str
    licence: str
    exhaustive: bool = True
    reported: bool = False
    mosaic: int = 1


LYMPHOCYTE, STROMAL, TUMOR = ((name,) for name in CLASSES)
BREAST = "brcam2c"
SETS = {
    BREAST: PublicSet(
        "brcam2c/train", 0.5, 0.38, None, "Abousamra et al. 2021 (BRCA-M2C)", "BSD-3-Clause"
    ),
    "ocelot": PublicSet(
        "ocelot/train",
        0.1943,
        0.2,
        # Normal epithelium is among the background cells, but few of them.
        {"tumor": TUMOR, "background_cell": (*LYMPHOCYTE, *STROMAL)},
        "Ryu et al. 2023 (OCELOT)",
        "CC BY-NC 4.0",
        reported=True,
    ),
    "consep": PublicSet(
        "consep20x/train",
        0.55,
        0.07,
        {"inflammatory": LYMPHOCYTE, "epithelial": TUMOR, "stromal": STROMAL},
        "Graham et al. 2019 (CoNSeP)",
        "research, licence not stated",
    ),
    "crchisto": PublicSet(
        "crchisto/train",
        0.55,
        0.1,
        {
            "epithelial": TUMOR,
            "inflammatory": LYMPHOCYTE,
            "fibroblast": STROMAL,
            "others": (ANY,),
            "unclassified": (ANY,),
        },
        "Sirinukunwattana et al. 2016 (CRCHistoPhenotypes)",
        "research only",
        exhaustive=False,
    ),
    "monusac": PublicSet(
        "monusac/train",
        0.25,
        0.07,
        {
            "epithelial": TUMOR,
            "lymphocyte": LYMPHOCYTE,
            "macrophage": (*LYMPHOCYTE, *STROMAL),
            "neutrophil": LYMPHOCYTE,
        },
        "Verma et al. 2021 (MoNuSAC)",
        "CC BY-NC-SA 4.0",
        exhaustive=False,
    ),
    "monuseg": PublicSet(
        "monuseg/train",
        0.25,
        0.06,
        {"nucleus": (ANY,)},
        "Kumar et al. 2017, 2020 (MoNuSeg)",
        "CC BY-NC-SA 4.0",
    ),
    "nuinsseg": PublicSet(
        "nuinsseg/train",
        0.25,
        0.08,
        {"nucleus": (ANY,)},
        "Mahbod et al. 2024 (NuInsSeg)",
        "CC BY 4.0",
        # A few vague nuclei are unmarked; otherwise background of 31 organs would not be learnt.
        mosaic=3,
    ),
}
NEGATIVES_WEIGHT = 0.04


@dataclass(frozen=True)
class Split:
    """Names of a set's images by purpose."""

    learn: tuple[str, ...]
    threshold: tuple[str, ...]
    report: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Sets at 0.5 um/px in a work folder.

    Attributes:
        root: The folder.
        patients: For each set, image name to patient (or image, if patients are unknown).
        breast_val: Points-folder of the breast set's validation tiles, on which weights and
            threshold are chosen.
    """

    root: Path
    patients: Mapping[str, Mapping[str, str]]
    breast_val: Path

    def folder(self, name: str) -> Path:
        """Points-folder of a set."""
        return self.root / name

    def split(self, name: str, without_sites: Collection[str] = ()) -> Split:
        """Split a set's images by purpose, leaving out tiles of some hospitals.

        Args:
            name: Name of the set.
            without_sites: Two letters each.
        """
        of = {n: p for n, p in self.patients[name].items() if site_of(p) not in without_sites}
        report = _some(of.values(), _REPORT_SHARE, "report") if SETS[name].reported else set()
        threshold = _some(set(of.values()) - report, _THRESHOLD_SHARE, "threshold")
        if name == BREAST:
            # Val is used for choosing; some of its patients have other tiles here.
            threshold = {_patient(path.stem) for path in image_paths(self.breast_val)}
        return Split(
            tuple(n for n, p in of.items() if p not in report | threshold),
            tuple(n for n, p in of.items() if p in threshold),
            tuple(n for n, p in of.items() if p in report),
        )

    def validation(self, without_sites: Collection[str] = ()) -> LabelSet:
        """The breast set's validation tiles except those of some hospitals."""
        names = [path.stem for path in image_paths(self.breast_val)]
        kept = tuple(n for n in names if site_of(n) not in without_sites)
        return LabelSet(self.breast_val, MPP, names=kept)

    def label_set(self, name: str, names: tuple[str, ...]) -> LabelSet:
        """Some images of a set, as training data."""
        public = SETS[name]
        return LabelSet(
            self.folder(name),
            MPP,
            public.weight,
            names=names,
            class_map=public.class_map,
            exhaustive=public.exhaustive,
        )

    def training(
        self,
        names: Collection[str],
        without_sites: Collection[str] = (),
        negatives_weight: float = NEGATIVES_WEIGHT,
    ) -> tuple[LabelSet, ...]:
        """The training data, with the negatives."""
        sets = [self.label_set(n, self.split(n, without_sites).learn) for n in names]
        negatives = LabelSet(
            self.folder("negatives"), MPP, negatives_weight, class_map={}, exhaustive=True
        )
        return (*sets, negatives)


def site_of(name: str) -> str:
    """Two letters of the hospital in a TCGA name; empty for other names."""
    found = _TCGA.match(name)
    return found[1] if found else ""


def prepare(data: Path, root: Path) -> Prepared:
    """Write all sets and the negatives at 0.5 um/px; existing ones are kept.

    Args:
        data: Folder with the sets.
        root: Work folder.

    Raises:
        UserError: A set has too few images.
    """
    patients = {}
    for name, public in SETS.items():
        target, source = root / name, data / public.folder
        if not (target / "done").is_file():
            images = [_at_model_scale(i) for i in read_points_folder(source, public.mpp)]
            images = [i for i in images if min(i.image.shape[:2]) >= _LEAST_SIDE_PX]
            joined = _mosaics(images, public.mosaic)
            if not joined:
                raise UserError(
                    f"{source} holds {len(images)} images of at least {_LEAST_SIDE_PX} px a side at"
                    f" {MPP} um/px; {public.mosaic**2} are needed."
                )
            for image in joined:
                _write(image, target)
            (target / "done").touch()
        given = _patients_of_ocelot(data) if name == "ocelot" else {}
        names = [path.stem for path in image_paths(target)]
        patients[name] = {n: given.get(n) or _patient(n) for n in names}
    if not (root / "negatives" / "done").is_file():
        _cut_negatives(data / "slides" / "CMU-1-Small-Region.svs", root / "negatives")
    return Prepared(root, patients, data / "brcam2c" / "val")


def _patient(name: str) -> str:
    found = _TCGA.match(name)
    return found[0] if found else name


def _patients_of_ocelot(data: Path) -> dict[str, str]:
    with (data / "ocelot" / "tiles.csv").open() as file:
        return {row["image"]: row["patient"] for row in csv.DictReader(file)}


def _some(patients: Collection[str], share: float, purpose: str) -> set[str]:
    """A share of the patients that depends only on their names; at least one."""
    if not share:
        return set()
    ranked = sorted(set(patients), key=lambda p: hashlib.sha256(f"{purpose} {p}".encode()).digest())
    return set(ranked[: max(1, round(share * len(ranked)))])


def _at_model_scale(image: AnnotatedImage) -> AnnotatedImage:
    height, width = image.image.shape[:2]
    new_w, new_h = round(width * image.mpp / MPP), round(height * image.mpp / MPP)
    pixels = Image.fromarray(image.image).resize((new_w, new_h), Image.Resampling.BICUBIC)
    factor = np.array([new_w / width, new_h / height], dtype=np.float32)
    return AnnotatedImage(image.name, np.asarray(pixels), image.xy * factor, image.class_names, MPP)


def _mosaics(images: Sequence[AnnotatedImage], across: int) -> list[AnnotatedImage]:
    """Squares of tiles of one size, in order; surplus tiles are left out."""
    if across == 1:
        return list(images)
    joined = []
    for start in range(0, len(images) - across**2 + 1, across**2):
        tiles = images[start : start + across**2]
        height, width = tiles[0].image.shape[:2]
        pixels = np.zeros((across * height, across * width, 3), np.uint8)
        xy = []
        for number, tile in enumerate(tiles):
            row, column = divmod(number, across)
            pixels[row * height :, column * width :][:height, :width] = tile.image
            xy.append(tile.xy + np.array([column * width, row * height], dtype=np.float32))
        names = tuple(n for tile in tiles for n in tile.class_names)
        joined.append(AnnotatedImage(tiles[0].name, pixels, np.concatenate(xy), names, MPP))
    return joined


def _write(image: AnnotatedImage, folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "points").mkdir(exist_ok=True)
    Image.fromarray(image.image).save(folder / "images" / f"{image.name}.png", compress_level=1)
    x, y = image.xy.T
    table = pd.DataFrame({"x": x, "y": y, "class": image.class_names})
    table.to_csv(folder / "points" / f"{image.name}.csv", index=False, float_format="%.2f")


def _cut_negatives(slide_path: Path, folder: Path) -> None:
    """Rectangles of the demo slide without nuclei: keratin, debris, glass."""
    with open_slide(slide_path) as slide:
        for i, row in enumerate(pd.read_csv(NEGATIVES).itertuples()):
            pixels = slide.read(Region(row.x, row.y, row.w, row.h), MPP)
            nothing = np.zeros((0, 2), dtype=np.float32)
            _write(AnnotatedImage(str(i), pixels, nothing, (), MPP), folder)
    (folder / "done").touch()
