"""Fields of annotation stores while their slide is written by another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import UserError
from muse_core.finetune import StoreSource
from muse_core.finetune.data import stores
from muse_core.finetune.data.fields import read_fields

from ..annotated import MPP, disc_slide, reviewed_store


def test_no_field_is_of_a_slide_that_is_changed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reviewed_store(tmp_path, [(120, 150, 110)])
    contents = stores.read_stores([StoreSource(store, mpp=MPP)])
    slide = contents[0].slide
    disc_slide(tmp_path / "other.png", seed=1)

    def meanwhile(*arguments: Any) -> Any:
        found = read_fields(*arguments)
        (tmp_path / "other.png").replace(slide)
        return found

    monkeypatch.setattr(stores, "read_fields", meanwhile)
    with pytest.raises(UserError, match=rf"^{slide.name} was changed or replaced while it was"):
        stores.fields_of_stores(contents, MPP, 45, 1.0)
