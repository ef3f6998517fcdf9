from __future__ import annotations

from typing import Any

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NamedRegion, NucleusClass, NucleusFile, nucleus_table
from muse_core.nuclei.formats.facts import Facts, facts_from_json, facts_to_json
from muse_core.nuclei.recorded_slide import RecordedSlide

TABLE = nucleus_table([1, 2, 3], [4, 5, 6], ["b", "a", "c"])


def test_classes_of_the_file_come_first_and_keep_colour_and_key() -> None:
    scheme = ClassScheme((NucleusClass("c", "#123456", "2"), NucleusClass("z", "#654321")))
    classes = NucleusFile(TABLE, scheme).classes()
    assert classes.names == ("c", "z", "a", "b")
    assert classes.classes[:2] == scheme.classes
    assert [c.key for c in classes.classes] == ["2", "", "1", "3"]


def test_classes_without_any_in_the_file() -> None:
    assert NucleusFile(TABLE).classes() == ClassScheme.from_names(["a", "b", "c"])
    taken = ClassScheme((NucleusClass("z", "#123456", "2"),))
    assert [c.key for c in NucleusFile(TABLE, taken).classes().classes] == ["2", "1", "3", "4"]
    with pytest.raises(UserError, match="without a class"):
        NucleusFile(nucleus_table([1], [2], " ")).classes()


def test_a_number_for_each_nucleus_is_no_class() -> None:
    names = [str(i) for i in range(257)]
    zeros = [0] * 257
    most = nucleus_table(zeros[:256], zeros[:256], names[:256])
    assert len(NucleusFile(most).classes().names) == 256
    with pytest.raises(UserError, match="column of classes names more than 256 classes"):
        NucleusFile(nucleus_table(zeros, zeros, names)).classes()
    some = ClassScheme.from_names(names[:200])
    with pytest.raises(UserError, match="more than 256 classes"):
        NucleusFile(nucleus_table(zeros[200:], zeros[200:], names[200:]), some).classes()


def test_facts_survive_json() -> None:
    region = NamedRegion(((0, 0), (1, 0), (0, 1.5)), "left", True)
    slide = RecordedSlide("a.svs", "sha256:0123456789abcdef#image=2")
    facts = Facts(ClassScheme.from_names(["a", "b"]), 0.25, (region,), (2560.0, 7680.0), slide)
    assert facts_from_json(facts_to_json(facts)) == facts
    assert facts_from_json(None) == Facts(None, None, (), None, None)
    assert facts_from_json("{}") == Facts(None, None, (), None, None)


def test_files_of_older_versions_count_from_the_corner_of_the_slide() -> None:
    assert facts_from_json({"version": 1, "mpp": 0.5}) == Facts(None, 0.5, (), (0.0, 0.0))
    assert facts_from_json({"version": 2, "mpp": 0.5}) == Facts(None, 0.5, (), None)


@pytest.mark.parametrize(
    "facts",
    [
        "[",
        "[]",
        5,
        {"mpp": "x"},
        {"mpp": 0},
        {"mpp": 10**400},
        {"classes": [{}]},
        {"classes": 3},
        {"regions": 3},
        {"version": 2, "origin_px": 3},
        {"version": 2, "origin_px": [1]},
        {"version": 2, "origin_px": ["1", "2"]},
        {"version": 2, "origin_px": [1e300, 0]},
        {"regions": [{"vertices": [[0, 0], [1, 1]]}]},
        {"regions": [{"vertices": [[0, 0], [1, 1], [1, "x"]]}]},
        {"regions": [{"vertices": [[0, 0], [1, 1], [1]]}]},
        {"regions": [{"vertices": [[0, 0], [1, 1], [1, None]]}]},
        {"regions": [3]},
        {"slide": 3},
        {"slide": {}},
        {"slide": {"name": "a", "content": "0123"}},
        {"slide": {"name": " ", "content": "sha256:01"}},
        {"slide": {"name": "a" * 2000, "content": "sha256:01"}},
        {"slide": {"name": 3, "content": "sha256:01"}},
    ],
)
def test_damaged_facts_are_refused(facts: Any) -> None:
    with pytest.raises(UserError):
        facts_from_json(facts)


@pytest.mark.parametrize(
    "vertices", [((0, 0), (1, 1)), ((0, 0), (1, 1), (2,)), ((0, 0), (1, 1), (1, float("nan")))]
)
def test_regions_need_three_finite_corners(vertices: Any) -> None:
    with pytest.raises(UserError, match=r"region .*corner"):
        NamedRegion(vertices)


def test_a_scale_is_above_0() -> None:
    for mpp in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="Microns per pixel"):
            NucleusFile(TABLE, mpp=mpp)
