# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Colors that are laid over a gray image, such as the flow of color Doppler: they are information, and stay."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

__all__ = ["find_overlays", "overlay_weight"]

# All in units of the intensity range. The difference of the channels in a gray pixel, which a conversion from YBR may
# round, and in one that is plainly colored.
GRAY, COLORED = 4 / 255, 0.12
# Black borders and white backgrounds are gray in pictures of tissue too, so they do not count.
VISIBLE = (0.1, 0.9)
# Of the visible pixels, this share is gray in an image with an overlay.
GRAY_SHARE = 0.5
# A colored pixel is kept whole, as are those up to this distance from it; at twice the distance none is.
RADIUS = 2
BAND_ROWS = 256


def find_overlays(slices: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which slices are gray images with colors laid over them.

    Args:
        slices: ``(N, H, W, 3)``, real numbers.
        low: ``(N,)``, the values of black.
        high: ``(N,)``, the values of white.

    Returns:
        ``(N,)`` bool. False for color images: their pixels are colored everywhere, and noise colors gray ones.
    """
    found = np.zeros(len(slices), bool)
    for index, each in enumerate(slices):
        visible = gray = colored = 0
        # In bands: a huge image must not need other arrays of its size.
        for row in range(0, each.shape[0], BAND_ROWS):
            least, most = _extremes(each[row : row + BAND_ROWS], low[index], high[index] - low[index])
            seen = (most > VISIBLE[0]) & (least < VISIBLE[1])
            visible += np.count_nonzero(seen)
            gray += np.count_nonzero(seen & (most - least <= GRAY))
            colored += np.count_nonzero(most - least > COLORED)
        found[index] = colored > 0 and gray >= GRAY_SHARE * visible
    return found


def overlay_weight(image: np.ndarray, core: tuple[slice, slice], low: float, high: float) -> np.ndarray:
    """How much of each pixel is overlay, for a part of an image.

    Args:
        image: ``(H, W, 3)``, one slice with an overlay.
        core: the rows and columns of the part.
        low: the value of black.
        high: the value of white.

    Returns:
        ``(h, w)`` float32 in [0, 1]: 1 in plainly colored pixels and those beside them, with a smooth edge. The parts
        of an image fit together exactly.
    """
    begin = [max(0, each.start - 2 * RADIUS) for each in core]
    window = image[begin[0] : core[0].stop + 2 * RADIUS, begin[1] : core[1].stop + 2 * RADIUS]
    least, most = _extremes(window, low, high - low)
    mask = torch.from_numpy(most - least > COLORED).float()[None, None]
    grown = functional.max_pool2d(mask, 2 * RADIUS + 1, stride=1, padding=RADIUS)
    smooth = functional.avg_pool2d(grown, 2 * RADIUS + 1, stride=1, padding=RADIUS, count_include_pad=False)
    rows, columns = (slice(each.start - first, each.stop - first) for each, first in zip(core, begin))
    return smooth[0, 0, rows, columns].numpy()


def _extremes(image: np.ndarray, low: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest channel of each pixel, in units of the range."""
    ends = (image.min(-1) - low) / width, (image.max(-1) - low) / width
    return ends if width > 0 else ends[::-1]
