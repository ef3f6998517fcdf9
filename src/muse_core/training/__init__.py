"""Shared by pretraining and fine-tuning: seeding, batches, run state, schedules, interrupts."""

from __future__ import annotations
