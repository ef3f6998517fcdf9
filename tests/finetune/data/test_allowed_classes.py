from __future__ import annotations

import pytest

from muse_core.errors import UserError
from muse_core.finetune.data.allowed_classes import allowed_classes

CLASSES = ("lymphocyte", "stromal", "tumor")


def test_rows_say_what_each_label_may_be() -> None:
    mapping = {"tumor": ["tumor"], "background_cell": ["stromal", "lymphocyte"], "nucleus": ["*"]}
    allowed = allowed_classes(["background_cell", "nucleus", "tumor"], mapping, CLASSES, "x")
    assert allowed.tolist() == [[True, True, False], [True, True, True], [False, False, True]]


def test_a_set_without_nuclei_has_no_rows() -> None:
    assert allowed_classes([], {}, CLASSES, "x").shape == (0, 3)


def test_a_label_without_a_say_is_named() -> None:
    with pytest.raises(UserError, match=r"folder holds the class 'odd'.*stromal, tumor"):
        allowed_classes(["odd"], {"other": ["tumor"]}, CLASSES, "folder")


def test_a_class_the_model_lacks_is_named_even_if_the_label_does_not_occur() -> None:
    with pytest.raises(UserError, match=r"'odd' may be 'tumour', which the model does not have"):
        allowed_classes(["tumor"], {"tumor": ["tumor"], "odd": ["tumour"]}, CLASSES, "folder")
