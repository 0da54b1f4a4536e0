# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The check of an intensity range that a user states."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_range"]


def check_range(limits: Any) -> tuple[float, float]:
    """Check a stated intensity range.

    Args:
        limits: two numbers ``(low, high)``, the values of black and white.

    Returns:
        The two numbers.

    Raises:
        ValueError: if they are not two finite numbers, or not the lower one first.
    """
    try:
        low, high = limits
        low, high = float(low), float(high)
    except (TypeError, ValueError):
        raise ValueError(
            f"the intensity range must be two numbers (low, high), got {limits!r}; leave it out to have it found."
        ) from None
    text = f"the intensity range {low:g} {high:g}"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{text} is not finite.")
    if low == high:
        raise ValueError(f"{text} is empty.")
    if low > high:
        raise ValueError(f"{text} is reversed; state the lower value first.")
    return low, high
