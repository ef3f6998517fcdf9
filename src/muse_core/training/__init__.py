"""Parts that pretraining and fine-tuning share: seeding, batches, run state, schedules, stopping."""

from __future__ import annotations
