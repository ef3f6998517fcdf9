"""Cache of converted networks in the user's folder, which is read without loading torch."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from muse_core.detect.backends.backend import NotConvertedNowError, NotConvertibleError
from muse_core.detect.backends.names import INT8
from muse_core.detect.backends.openvino_library import floats_of, openvino
from muse_core.detect.backends.openvino_session import Session
from muse_core.detect.backends.quantisation import require_nncf
from muse_core.errors import UserError, cannot
from muse_core.files import locked, make_folder, replacing, sha256_of
from muse_core.files.user_folders import user_cache_folder

CONVERTER_VERSION = 5
"""Counted up whenever the same weights would be converted to something else."""
_KEPT = 8
"""Networks that stay in the cache; each takes about twice the model's file."""
_CONVERSION_S = 300.0


def cache_folder() -> Path:
    """Return the folder of converted networks; the variable MUSE_CONVERTED_DIR moves it."""
    named = os.environ.get("MUSE_CONVERTED_DIR")
    return Path(named) if named else user_cache_folder() / "converted"


def converted_session(model: Path, precision: str) -> Session:
    """Load the converted network of a model file from the cache; convert it if it is not there.

    The tile shape is dynamic, so that one conversion serves all tiles. Only converting loads torch.

    Args:
        model: The model file.
        precision: float32, bfloat16 or int8.

    Raises:
        NotConvertibleError: OpenVINO cannot compute it, or not as torch does.
        UserError: The model cannot be read, or int8 has no NNCF.
    """
    facts = {
        "weights": _hash_of(model),
        "precision": precision,
        "openvino": str(openvino().__version__),
        "converter": CONVERTER_VERSION,
        "machine": platform.machine(),
    }
    if precision == INT8:
        facts["floats"] = floats_of(precision)
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    entry = cache_folder() / name
    session = _load(entry, facts)
    if session is not None:
        return session
    if precision == INT8:
        require_nncf()
    try:
        make_folder(entry.parent)
        with locked(entry, _CONVERSION_S):
            # Another program may have converted it meanwhile.
            return _load(entry, facts) or _convert(model, precision, entry, facts)
    except NotConvertibleError:
        raise
    except UserError:
        # A cache that cannot be written is no reason not to detect.
        return _convert(model, precision, None, facts)


def _convert(
    model: Path, precision: str, entry: Path | None, facts: Mapping[str, object]
) -> Session:
    from muse_core.detect.backends.conversion import convert_model

    try:
        made = convert_model(model, precision)
    except NotConvertibleError as refusal:
        if entry is not None and not isinstance(refusal, NotConvertedNowError):
            _write(entry, {**facts, "refused": str(refusal), "processor": _processor()}, b"")
        raise
    if entry is not None:
        _write(entry, {**facts, "deviation": made.deviation}, made.blob)
        _prune(entry.parent)
    return Session(made.blob, precision)


def _write(entry: Path, facts: Mapping[str, object], blob: bytes) -> None:
    facts = {**facts, "blob": hashlib.sha256(blob).hexdigest()}
    with replacing(entry) as partial:
        partial.mkdir()
        (partial / "network.blob").write_bytes(blob)
        (partial / "facts.json").write_text(json.dumps(facts, indent=1))


def _load(entry: Path, facts: Mapping[str, object]) -> Session | None:
    """The network in an entry, or None where there is none that is whole.

    Raises:
        NotConvertibleError: The entry says so of this processor. A home folder may be that of many
            machines, and a variable may limit what OpenVINO uses of a processor for a while.
    """
    try:
        found = json.loads((entry / "facts.json").read_text())
        blob = (entry / "network.blob").read_bytes()
        # Before OpenVINO sees it: what is damaged could take the whole process down.
        whole = hashlib.sha256(blob).hexdigest() == found["blob"]
        if not whole or any(found.get(key) != value for key, value in facts.items()):
            return None
        refused = found.get("refused")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if isinstance(refused, str):
        if found.get("processor") != _processor():
            return None
        raise NotConvertibleError(refused)
    try:
        session = Session(blob, str(facts["precision"]))
        os.utime(entry / "facts.json")
    except (RuntimeError, OSError):
        return None
    return session


def _processor() -> str:
    """The processor as OpenVINO names it, and the limit set for oneDNN, if any."""
    name = openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
    return f"{name} {os.environ.get('ONEDNN_MAX_CPU_ISA', '')}".strip()


def _hash_of(model: Path) -> str:
    try:
        return sha256_of(model)
    except OSError as error:
        raise cannot("read", model, error) from error


def _prune(folder: Path) -> None:
    """Keep the networks that were used last."""
    import contextlib
    import shutil

    ages = []
    for facts in folder.glob("*/facts.json"):
        with contextlib.suppress(OSError):
            ages.append((facts.stat().st_mtime, facts.parent))
    for _, entry in sorted(ages, reverse=True)[_KEPT:]:
        shutil.rmtree(entry, ignore_errors=True)
