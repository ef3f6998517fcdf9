"""Split a file into parts of limited size and join them again.

    python recipes/weight_parts.py split backbone.safetensors parts --part-mb 16
    python recipes/weight_parts.py join parts backbone.safetensors

The folder of parts contains ``parts.json`` with the sizes and SHA-256 sums, which joining verifies.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from muse_core.errors import UserError
from muse_core.files import replacing

INDEX_NAME = "parts.json"
app = typer.Typer()


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="File to split.")],
    folder: Annotated[Path, typer.Argument(help="Folder for the parts.")],
    part_mb: Annotated[float, typer.Option(help="Largest part in MB (1e6 bytes).")] = 16.0,
) -> None:
    """Split a file into parts."""
    content = source.read_bytes()
    step = int(part_mb * 1e6)
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, start in enumerate(range(0, len(content), step)):
        part = content[start : start + step]
        name = f"{source.name}.{number:03d}"
        with replacing(folder / name) as partial:
            partial.write_bytes(part)
        parts.append({"file": name, "sha256": hashlib.sha256(part).hexdigest()})
    index = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "parts": parts}
    with replacing(folder / INDEX_NAME) as partial:
        partial.write_text(json.dumps(index, indent=1), encoding="utf-8")


@app.command()
def join(
    folder: Annotated[Path, typer.Argument(help="Folder with the parts.")],
    target: Annotated[Path, typer.Argument(help="File to write.")],
) -> None:
    """Join parts; raises UserError if one is missing or damaged."""
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    with replacing(target) as partial:
        with partial.open("wb") as out:
            for part in index["parts"]:
                content = (folder / Path(part["file"]).name).read_bytes()
                if hashlib.sha256(content).hexdigest() != part["sha256"]:
                    raise UserError(f"The part {part['file']} is damaged.")
                out.write(content)
        if partial.stat().st_size != index["bytes"]:
            raise UserError("The parts do not make up the whole file.")


if __name__ == "__main__":
    app()
