"""Augmentations of training images, shared by pretraining and fine-tuning."""

from __future__ import annotations
