"""Options of earlier versions of ``muse finetune``, each of which is a ``--set`` now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches

from muse_core.errors import UserError

_SETTINGS = {
    "--backbone-rate": "backbone_rate",
    "--batch": "batch",
    "--consistency": "consistency.weight",
    "--correction-weight": "correction_weight",
    "--learning-rate": "learning_rate",
    "--model-mpp": "mpp",
    "--sample-px": "views.crop_px",
    "--validate-every": "validate_every",
    "--workers": "workers",
}
_TEXTS = {"--description": "description", "--encoder": "model", "--name": "name"}
_SWITCHES = {
    "--no-own-slides": "consistency.own_slides=false",
    "--own-slides": "consistency.own_slides=true",
}


def older_settings(arguments: Sequence[str], known: Sequence[str]) -> list[str]:
    """Convert options of earlier versions to ``NAME=VALUE``.

    Args:
        arguments: What the command itself does not know.
        known: The options that it knows, one of which a misspelt one may be.

    Raises:
        UserError: An argument is no option, or an option lacks its value.
    """
    settings = []
    rest = list(arguments)
    while rest:
        flag, found, value = rest.pop(0).partition("=")
        if flag in _SWITCHES and not found:
            settings.append(_SWITCHES[flag])
            continue
        name = _SETTINGS.get(flag) or _TEXTS.get(flag)
        if name is None:
            what = "option" if flag.startswith("-") else "argument"
            near = get_close_matches(flag, known, 1)
            way_out = f"perhaps {near[0]} is meant" if near else "see muse finetune --help"
            raise UserError(f"muse finetune knows no {what} {flag!r}; {way_out}.")
        if not found and not rest:
            raise UserError(f"{flag} needs a value.")
        value = value if found else rest.pop(0)
        settings.append(f"{name}={json.dumps(value) if flag in _TEXTS else value}")
    return settings
