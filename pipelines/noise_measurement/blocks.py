# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Small square blocks of an image, with the power of each in bands of spatial frequency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

__all__ = ["BLOCK", "Blocks", "cut_blocks"]

BLOCK = 16
"""Side of a block in pixels. Coefficient k of its cosine transform has the frequency k / 32 cycles per pixel."""

MOST_BLOCKS = 6000
"""More blocks of one plane than this are thinned out: they take time and change nothing."""

_ORDER = np.maximum(np.arange(BLOCK)[:, None], np.arange(BLOCK)[None, :])
_LOW, _MIDDLE_LOWER, _MIDDLE_UPPER, _UPPER_HALF = (
    (low <= _ORDER) & (high >= _ORDER) for low, high in ((1, 2), (3, 5), (6, 8), (8, 15))
)
_SLOPE = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) <= 1
_HIGH, _BELOW = slice(12, None), slice(None, 10)


@dataclass(frozen=True)
class Blocks:
    """Blocks of one or more planes. Powers are means over the coefficients of a band: for white noise, its variance.

    Attributes:
        pixels: ``(N, 16, 16)`` float32, on the scale of the image.
        mean: mean intensity, ``(N,)``.
        clipped: share of pixels at the lowest or highest value of the plane.
        scattered: share of neighbors in a row of which one is clipped: high for clipped noise, low for a black border.
        low: power up to 0.06 cycles per pixel without the mean: structure above all.
        middle_lower: power from 0.09 to 0.16 cycles per pixel.
        middle: power from 0.09 to 0.25 cycles per pixel.
        high_rows: power from 0.38 to 0.5 cycles per pixel from row to row, below 0.29 along the columns.
        high_columns: the same from column to column.
        upper: power from 0.25 to 0.5 cycles per pixel.
        variance: power of all coefficients but the mean and the two of the slope.
    """

    pixels: np.ndarray
    mean: np.ndarray
    clipped: np.ndarray
    scattered: np.ndarray
    low: np.ndarray
    middle_lower: np.ndarray
    middle: np.ndarray
    high_rows: np.ndarray
    high_columns: np.ndarray
    upper: np.ndarray
    variance: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, chosen: np.ndarray) -> Blocks:
        """Some of the blocks, by a mask or by indices."""
        return Blocks(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def structure(self) -> np.ndarray:
        """How much the blocks hold besides noise: the power of their low frequencies."""
        return self.low + self.middle_lower

    def spectrum(self) -> np.ndarray:
        """Mean power of each coefficient, ``(16, 16)``; rows of frequency first."""
        return np.square(_cosines(self.pixels)).mean(0)


def cut_blocks(planes: Sequence[np.ndarray]) -> Blocks:
    """Cut planes into overlapping blocks.

    Args:
        planes: images ``(H, W)`` of at least 16 pixels a side, on one scale.

    Returns:
        Their blocks.
    """
    parts = [_of_plane(np.asarray(plane, np.float32)) for plane in planes]
    return Blocks(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Blocks)))


def _of_plane(plane: np.ndarray) -> Blocks:
    step = max(BLOCK // 2, int(np.ceil(np.sqrt(plane.size / MOST_BLOCKS))))
    pixels = np.ascontiguousarray(sliding_window_view(plane, (BLOCK, BLOCK))[::step, ::step]).reshape(-1, BLOCK, BLOCK)
    power = np.square(_cosines(pixels))
    bands = [power[:, band].mean(1) for band in (_LOW, _MIDDLE_LOWER, _MIDDLE_UPPER)]
    clipped = (pixels <= plane.min()) | (pixels >= plane.max())
    return Blocks(
        pixels=pixels,
        mean=pixels.mean((1, 2)),
        clipped=clipped.mean((1, 2)),
        scattered=(clipped[..., 1:] != clipped[..., :-1]).mean((1, 2)),
        low=bands[0],
        middle_lower=bands[1],
        middle=(bands[1] + bands[2]) / 2,
        high_rows=power[:, _HIGH, _BELOW].mean((1, 2)),
        high_columns=power[:, _BELOW, _HIGH].mean((1, 2)),
        upper=power[:, _UPPER_HALF].mean(1),
        variance=np.where(_SLOPE, 0, power).sum((1, 2)) / (BLOCK**2 - 3),
    )


def _cosines(pixels: np.ndarray) -> np.ndarray:
    return fft.dctn(pixels, axes=(1, 2), norm="ortho")
