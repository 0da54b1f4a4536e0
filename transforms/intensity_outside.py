# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a denoiser sees of the values outside [0, 1]: all noise, but neither plateaus nor outliers far outside."""

from __future__ import annotations

import torch
from torch.nn.functional import max_pool2d

__all__ = ["OUTSIDE_REACH", "limit_outside"]

# Side in pixels of the square that a region outside [0, 1] must fill, every pixel of it, to count as a plateau. Noise
# around 0 has both signs, so that no square of this size lies below 0 as a whole.
PLATEAU_SIDE = 5
# A network trained with noise up to sigma 75 (0.29) has met values this far outside, 3.4 standard deviations.
LARGEST_OVERSHOOT = 1.0
SOFTNESS = 0.25
OUTSIDE_REACH = PLATEAU_SIDE - 1
"""The result of a pixel depends on pixels at most this far away, along rows and columns."""


def limit_outside(unit: torch.Tensor) -> torch.Tensor:
    """Make the input of a denoiser from an image whose noise, and more, lies outside [0, 1].

    Networks are trained on clean images in [0, 1] with noise that is not clipped. They see the same here: noise around
    black and white keeps its part outside. Two things that training never showed are changed:

    - Plateaus outside, such as metal in CT or the padding around its circle, are moved to 0 or 1. These are the parts
      of the morphological closing below 0 and of the opening above 1, with squares of 5 x 5 pixels.
    - What is then more than 1 below or above the range is compressed smoothly to at most 1.25.

    A denoiser adds the difference back unchanged, ``out = in - (v - D(v))`` with ``v = limit_outside(in)``, so that
    plateaus are not shifted.

    Args:
        unit: ``(B, C, H, W)``, in units of the intensity range.

    Returns:
        ``(B, C, H, W)`` within [-1.25, 2.25], equal to ``unit`` where that lies in [0, 1] and away from plateaus.
    """
    if unit.numel() == 0 or (float(unit.min()) >= 0 and float(unit.max()) <= 1):
        return unit
    closing = -_largest_nearby(-_largest_nearby(unit))
    opening = _largest_nearby(-_largest_nearby(-unit))
    limited = unit - closing.clamp(max=0) - (opening - 1).clamp(min=0)
    kept = limited.clamp(-LARGEST_OVERSHOOT, 1 + LARGEST_OVERSHOOT)
    return kept + SOFTNESS * torch.tanh((limited - kept) / SOFTNESS)


def _largest_nearby(images: torch.Tensor) -> torch.Tensor:
    return max_pool2d(images, PLATEAU_SIDE, stride=1, padding=PLATEAU_SIDE // 2)
