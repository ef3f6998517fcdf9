"""What pretraining and fine-tuning share: seeding, batches, run state, schedules, interrupts."""

from __future__ import annotations
