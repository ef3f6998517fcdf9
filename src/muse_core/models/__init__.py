"""The network: encoders, decoder, backbone, point head, checkpoints and the model registry.

Importing this package is light; `card` and `registry` never load torch.
"""

from __future__ import annotations
