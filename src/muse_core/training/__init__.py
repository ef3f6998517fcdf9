"""Parts that pretraining and fine-tuning share: seeding, run state, schedules, interrupts."""

from __future__ import annotations
