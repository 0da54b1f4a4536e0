# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What every metric here does to its arguments first."""

from __future__ import annotations

import math

import torch

__all__ = ["check_positive", "to_float64"]


def check_positive(name: str, value: float) -> float:
    """Check an argument that must be a positive finite number.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Returns:
        The value as a float.

    Raises:
        ValueError: when the value is zero, negative, infinite or NaN.
    """
    value = float(value)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value}.")
    return value


def to_float64(x: torch.Tensor) -> torch.Tensor:
    """Give a plain float64 tensor, on the same device where that device has float64.

    Args:
        x: any real tensor, a :class:`monai.data.MetaTensor` too.

    Returns:
        The same values in float64, without metadata. Apple's MPS has no float64; its tensors come back on the CPU.
    """
    # A MetaTensor would drag its metadata through every intermediate result.
    x = x.as_subclass(torch.Tensor)
    if x.device.type == "mps":
        x = x.cpu()
    return x.to(torch.float64)
