"""Self-supervised pretraining of backbones: ROI data, views, losses, training.

Source: Yang et al., "MUSE: Multi-Scale Dense Self-Distillation for Nucleus Detection and
Classification", AAAI 2026 (arXiv 2511.05170). What the paper leaves open follows DINO (Caron et
al., ICCV 2021) or is this project's choice; docs/method.md says which.
"""

from __future__ import annotations

from muse_core.callable_package import make_callable

make_callable(__name__, "muse_core.pretrain.train", "pretrain")
