"""Learning the classes of a slide from a few corrections, within a second.

A linear correction of the logits of the model's own class head is learnt, from the features that
detection has kept. Nothing here imports torch.
"""

from __future__ import annotations

from muse_core.callable_package import make_callable

make_callable(__name__, "muse_core.classify.relearn.whole", "relearn")
