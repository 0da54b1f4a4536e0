# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the networks' arguments."""

from __future__ import annotations

__all__ = ["check_positive"]


def check_positive(**values: int) -> None:
    """Raise ``ValueError`` naming the first keyword whose value is not a positive integer."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
