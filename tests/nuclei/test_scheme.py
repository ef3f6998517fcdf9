from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusClass


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
names = st.lists(
    st.text(letters, min_size=1).filter(str.strip), min_size=1, max_size=12, unique_by=_composed
)


@given(names)
def test_from_names_and_through_json(class_names: list[str]) -> None:
    scheme = ClassScheme.from_names(class_names)
    assert scheme.names == tuple(map(_composed, class_names))
    assert [scheme.index(n) for n in class_names] == list(range(len(class_names)))
    assert ClassScheme.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme
    assert [c.key for c in scheme.classes[:9]] == list("123456789")[: len(class_names)]
    assert all(c.key == "" for c in scheme.classes[9:])


@pytest.mark.parametrize(
    "class_names",
    [
        ["lymphocyte", "tumor", "stromal"],
        ["inflammatory", "epithelial", "stromal"],
        ["lymphocyte", "inflammatory", "tumor", "epithelial"],
        ["a", "b", "c", "d", "e", "f"],
    ],
)
def test_colours_differ(class_names: list[str]) -> None:
    scheme = ClassScheme.from_names(class_names)
    assert len({scheme.color(n) for n in class_names}) == len(class_names)


def test_the_same_kind_of_nucleus_has_one_colour_in_every_model() -> None:
    breast = ClassScheme.from_names(["lymphocyte", "tumor", "stromal"])
    colon = ClassScheme.from_names(["stromal", "inflammatory", "epithelial"])
    assert breast.color("lymphocyte") == colon.color("inflammatory")
    assert breast.color("stromal") == colon.color("stromal")


def test_further_classes_get_colours_and_keys_that_are_free() -> None:
    scheme = ClassScheme((NucleusClass("a", "#D55E00", "1"), NucleusClass("b", "#0072b2", "3")))
    longer = scheme.extended(["c", "tumor", "d"])
    assert longer.classes[:2] == scheme.classes
    assert [c.key for c in longer.classes] == ["1", "3", "2", "4", "5"]
    assert longer.color("tumor") == ClassScheme.from_names(["tumor"]).color("tumor")
    assert len({c.color.lower() for c in longer.classes}) == 5
    with pytest.raises(UserError):
        scheme.extended(["a"])


@given(names, st.data())
def test_classes_are_the_same_at_once_and_one_after_the_other(
    class_names: list[str], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(class_names)))
    first = ClassScheme.from_names(class_names[:cut])
    assert first.extended(class_names[cut:]) == ClassScheme.from_names(class_names)


def test_unknown_class_names_the_known_ones() -> None:
    scheme = ClassScheme.from_names(["a", "b"])
    with pytest.raises(UserError, match="'c'; the classes are a, b"):
        scheme.index("c")
    with pytest.raises(UserError):
        scheme.color("c")


@pytest.mark.parametrize(
    "values",
    [
        ("", "#000000", "1"),
        ("  ", "#000000", "1"),
        ("a", "red", "1"),
        ("a", "#12345", "1"),
        ("a", "#1234567", "1"),
        ("a", "#00000g", "1"),
        ("a", "#000000", "0"),
        ("a", "#000000", "10"),
        ("a", "#000000", "x"),
    ],
)
def test_bad_classes_are_refused(values: tuple[str, str, str]) -> None:
    with pytest.raises(UserError):
        NucleusClass(*values)


def test_names_and_keys_must_differ() -> None:
    with pytest.raises(UserError, match="two are called a"):
        ClassScheme((NucleusClass("a", "#000000"), NucleusClass("a", "#111111")))
    with pytest.raises(UserError, match="two have 1"):
        ClassScheme((NucleusClass("a", "#000000", "1"), NucleusClass("b", "#111111", "1")))


@pytest.mark.parametrize("items", [None, 3, ["a"], [{"name": "a"}], [{"color": "#000000"}], [None]])
def test_json_that_is_no_scheme_is_refused(items: Any) -> None:
    with pytest.raises(UserError):
        ClassScheme.from_json(items)


def test_joined_classes_keep_what_is_free() -> None:
    ours = ClassScheme((NucleusClass("a", "#112233", "1"), NucleusClass("b", "#445566", "2")))
    theirs = (
        NucleusClass("b", "#000000", "9"),
        NucleusClass("c", "#AABBCC", "5"),
        NucleusClass("d", "#112233", "2"),
        NucleusClass("e", "#aabbcc", ""),
    )
    joined = ours.joined(theirs)
    assert joined.classes[:2] == ours.classes
    assert joined.classes[2] == theirs[1], "colour and key were free"
    assert [c.key for c in joined.classes[3:]] == ["3", "4"]
    assert len({c.color.lower() for c in joined.classes}) == 5


def test_further_classes_do_not_look_through_all_others_again() -> None:
    looks = []

    class Color(str):
        def lower(self) -> str:
            looks.append(self)
            return super().lower()

    scheme = ClassScheme((NucleusClass("a", Color("#0072b2")),))
    assert len(scheme.extended(str(i) for i in range(100)).classes) == 101
    assert len(looks) == 1


def test_a_key_that_another_class_has_is_exchanged() -> None:
    scheme = ClassScheme.from_names(["a", "b", "c"])
    changed = scheme.changes_for_key("a", "3")
    assert {name: c.key for name, c in changed.items()} == {"a": "3", "c": "1"}
    assert scheme.changes_for_key("a", "7") == {"a": NucleusClass("a", scheme.color("a"), "7")}
    assert scheme.changes_for_key("a", "1").keys() == {"a"}, "it has it already"
    keyless = ClassScheme((NucleusClass("x", "#000001"), NucleusClass("y", "#000002", "5")))
    assert keyless.changes_for_key("y", "").keys() == {"y"}, "any number may be without a key"
    with pytest.raises(UserError, match="Unknown class"):
        scheme.changes_for_key("z", "1")


def test_colours_can_be_those_that_colour_blind_people_tell_apart() -> None:
    scheme = ClassScheme.from_names(["lymphocyte", "tumor", "stromal", "a", "b", "c", "d"])
    changed = scheme.changes_for_distinct_colors()
    assert {name: c.color for name, c in changed.items()} == {
        "lymphocyte": "#0072b2", "tumor": "#d55e00", "stromal": "#009e73"
    }, "the others have such colours, or are more than there are"  # fmt: skip
    assert changed["tumor"].key == "2"
    assert not ClassScheme.from_names(["a", "b"]).changes_for_distinct_colors()


def test_a_new_class_gets_the_first_number_that_is_free() -> None:
    scheme = ClassScheme.from_names(["class 1", "class 3"])
    names = scheme.with_new_class().with_new_class().names
    assert names == ("class 1", "class 3", "class 2", "class 4")
    assert ClassScheme(()).with_new_class().names == ("class 1",)
