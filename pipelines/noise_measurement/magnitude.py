# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether an image is a magnitude image, by the Rayleigh statistics of its dark background."""

from __future__ import annotations

import numpy as np

from .blocks import Blocks

__all__ = ["has_rayleigh_background"]

# Mean over standard deviation and skewness of a Rayleigh distribution are sqrt(pi / (4 - pi)) = 1.91 and 0.63.
RATIO = (1.65, 2.2)
SKEWNESS = (0.42, 0.85)
DARKEST = 0.05
FEWEST = 8
LARGEST_CLIPPED = 0.05


def has_rayleigh_background(blocks: Blocks, zero: float = 0.0) -> bool:
    """Tell whether the darkest blocks hold the noise of a magnitude image (one coil; Gudbjartsson and Patz 1995).

    Args:
        blocks: blocks of the image.
        zero: the intensity of no signal, on the scale of the blocks.

    Returns:
        True if their pixels are positive, and their mean and skewness are those of a Rayleigh distribution. False also
        for magnitude images without a dark background, whose noise is nearly Gaussian.
    """
    usable = blocks[(blocks.clipped <= LARGEST_CLIPPED) & (blocks.variance > 0)]
    if len(usable) < FEWEST:
        return False
    darkest = usable[np.argsort(usable.mean, kind="stable")[: max(FEWEST, int(DARKEST * len(usable)))]]
    pixels = darkest.pixels.astype(np.float64) - zero
    if pixels.min() < 0:
        return False
    mean = pixels.mean((1, 2), keepdims=True)
    std = float(np.sqrt(np.square(pixels - mean).mean()))
    skewness = float(((pixels - mean) ** 3).mean()) / std**3
    ratio = float(mean.mean()) / std
    return RATIO[0] <= ratio <= RATIO[1] and SKEWNESS[0] <= skewness <= SKEWNESS[1]
