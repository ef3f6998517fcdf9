"""The holdout: fields that are kept from training, and figures measured on them."""

from __future__ import annotations
