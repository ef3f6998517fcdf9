from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.data.class_map import ANY, ClassMap, read_class_map
from muse_core.errors import UserError


def test_one_class_several_any_or_none(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(
        '{"classes": {"tumor": "tumor", "cell": ["lymphocyte", "stromal"], "nucleus": "*",'
        ' "ambiguous": []}, "exhaustive": false}'
    )
    classes = {
        "tumor": ("tumor",),
        "cell": ("lymphocyte", "stromal"),
        "nucleus": (ANY,),
        "ambiguous": (),
    }
    assert read_class_map(path) == ClassMap(classes, exhaustive=False)


def test_sets_are_exhaustive_where_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"classes": {"a": "b"}}')
    assert read_class_map(path).exhaustive


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be understood"),
        ("[" * 100_000, "cannot be understood"),
        ("\xff", "cannot be understood"),
        ('{"classes": {"a": "b", "a": ["c"]}}', "cannot be understood: 'a' is there twice"),
        ("[]", "it needs"),
        ('{"tumor": "tumor"}', "it needs"),
        ('{"classes": {"a": 3}}', "must say of 'a'"),
        ('{"classes": {"a": [""]}}', "must say of 'a'"),
        ('{"classes": {"a": {"b": 1}}}', "must say of 'a'"),
        ('{"classes": {}, "exhaustive": "no"}', "true or false"),
        ('{"classes": {}, "exhausted": true}', "no field 'exhausted'"),
        (" " * 2_000_000, "larger than a megabyte"),
    ],
)
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "map.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=words):
        read_class_map(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.json"):
        read_class_map(tmp_path / "missing.json")


def test_classes_are_spelt_as_files_of_nuclei_are(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"classes": {"e\u0301": ["a\u0308", "b"]}}', encoding="utf-8")
    assert read_class_map(path).classes == {"\u00e9": ("\u00e4", "b")}
