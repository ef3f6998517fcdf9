"""The small encoder, and its pretraining on a CPU: an hour and a quarter on one core.

docs/benchmarks.md says how the settings were chosen.
"""

from __future__ import annotations

from pathlib import Path

from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.pretrain.config import (
    AppearanceConfig,
    LossesConfig,
    PretrainConfig,
    ScheduleConfig,
    ViewsConfig,
)

ARCHITECTURE = ModelConfig(
    BackboneConfig(encoder="resnet10t", decoder_channels=(48, 64, 96, 128), hyper_channels=32),
    HeadConfig(hidden_channels=64),
)
EPOCHS = 200


def small_pretraining(
    rois: Path, out: Path, seed: int, epochs: int = EPOCHS, workers: int = 0
) -> PretrainConfig:
    """The configuration of the run.

    Args:
        rois: Folder of ROIs.
        out: Folder of the run.
        seed: Seed of all random numbers.
        epochs: Epochs of 512 samples each.
        workers: Processes that load.
    """
    return PretrainConfig(
        rois=rois,
        out=out,
        name="muse-pretrained-small",
        model=ARCHITECTURE.backbone,
        # A field no larger than the largest view, so that two views share about ten nuclei. In the
        # default field of 140 um views this small share one or two, which teaches to distinguish
        # images, not nuclei.
        views=ViewsConfig(mpp=(0.4, 0.6), global_px=96, n_local=0, field_um=58.0),
        appearance=AppearanceConfig(
            stain_gain=(0.6, 1.6),
            stain_shift=0.05,
            stain_turn=0.05,
            brightness=0.05,
            contrast=0.1,
            saturation=0.1,
            blur_share=0.2,
        ),
        losses=LossesConfig(
            prototypes=512,
            hidden_channels=512,
            bottleneck_channels=64,
            head_batch_norm=True,
            nuclei_per_pair=32,
            teacher_temperature=(0.03, 0.03),
            balance="sinkhorn",
        ),
        schedule=ScheduleConfig(
            epochs=epochs,
            epoch_samples=512,
            samples_per_roi=8,
            batch=32,
            learning_rate=0.016,
            warmup_epochs=1,
            weight_decay=(0.04, 0.1),
            teacher_momentum=(0.95, 0.999),
            clip_per="network",
            freeze_prototypes_epochs=0,
        ),
        seed=seed,
        workers=workers,
        checkpoint_steps=200,
        log_steps=20,
    )
