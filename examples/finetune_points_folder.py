"""Fine-tune a model on a points-folder: images/NAME.png beside points/NAME.csv with x, y, class.

python examples/finetune_points_folder.py FOLDER --mpp 0.5 --steps 500 --out mine.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import muse_core as muse
from muse_core.finetune import LabelSet, Listener
from muse_core.models.registry import resolve_model


def main() -> None:
    """Train; print the path of the model and its figures on the images it was chosen on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mpp", type=float, required=True)
    parser.add_argument(
        "--base", default=None, help="model to start from; default: the default model"
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("mine.safetensors"))
    options = parser.parse_args()

    images = LabelSet(options.folder, options.mpp)
    config = muse.FinetuneConfig(
        train=(images,),
        val=images,  # use other images here: figures on training images are optimistic
        base=resolve_model(options.base),
        out=options.out,
        steps=options.steps,
        validate_every=options.steps,
        mode="full",
    )
    result = muse.finetune(config, Listener(on_loss=lambda step, loss: print(step, f"{loss:.3f}")))
    print(f"{result.path}: F det {result.metrics['f_det']:.3f}")


if __name__ == "__main__":
    main()
