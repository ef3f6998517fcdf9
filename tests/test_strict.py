from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from muse_core.errors import UserError
from muse_core.strict import STRICT, StrictOptions, Wording, parse_strictly

# Braces are ordinary characters, which file names may contain.
WORDING = Wording("{a} has no field", "{a}: the field", "{a} is no JSON")


@dataclass(frozen=True)
class Part:
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    size: float


@dataclass(frozen=True)
class Whole:
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    name: str
    pair: tuple[int, int] = (0, 0)
    part: Part | None = None

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise UserError("Nobody is no name.")


def test_values_as_json_has_them_make_the_dataclass() -> None:
    data = {"name": "n", "pair": [1, 2], "part": {"size": 1}}
    assert parse_strictly(Whole, data, WORDING) == Whole("n", (1, 2), Part(1.0))
    widest = {"name": "9" * 30, "pair": [-(2**63), 2**63 - 1]}
    assert parse_strictly(Whole, widest, WORDING).pair == (-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "n", "colour": 1}, "{a} has no field 'colour'."),
        ({"name": "n", "part": {"size": 1, "x": 1}}, "{a} has no field 'part.x'."),
        ({"name": "n", "pairs": 1}, "{a} has no field 'pairs'; perhaps 'pair' is meant."),
        ({"name": "n", "size": 1}, "{a} has no field 'size'; perhaps 'part.size' is meant."),
        (
            {"name": "n", "part": {"size": 1, "sise": 1}},
            "{a} has no field 'part.sise'; perhaps 'part.size' is meant.",
        ),
        ({}, "{a}: the field 'name' is wrong: Field required."),
        ({"name": 3}, "{a}: the field 'name' is wrong: Input should be a valid string."),
        ({"name": "n", "pair": [2**63, 0]}, f"{{a}} is no JSON: {2**63} is too large for a whole"),
        ({"name": "n", "pair": [-(2**70), 0]}, f"{{a}} is no JSON: {-(2**70)} is too large for"),
        ({"name": "a/\udcff.png"}, r"'a/\udcff.png' is a name that is no text; rename it."),
        ({"name": "a\0b"}, "{a} is no JSON: a text holds a null character."),
        ({"name": "n", "pair": ["1", 2]}, "{a}: the field 'pair.0' is wrong: "),
        ({"name": "n", "part": {"size": float("nan")}}, "{a}: the field 'part.size' is wrong: "),
        ({"name": "nobody"}, "Nobody is no name."),
        ({"name": b"n"}, "{a} is no JSON: Object of type bytes is not JSON serializable."),
    ],
)
def test_each_error_is_one_sentence_in_the_callers_words(
    data: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as raised:
        parse_strictly(Whole, data, WORDING)
    assert str(raised.value).startswith(sentence)
    assert str(raised.value).endswith(".")


def test_importing_it_loads_no_pydantic() -> None:
    code = "import sys, muse_core.strict; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
