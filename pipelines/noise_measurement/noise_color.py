# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The color of noise: whether neighboring pixels have it in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import BLOCK, Blocks
from .intensity_bins import bins_by_intensity, quietest

__all__ = ["BANDS", "LAGS", "ColorMeasurement", "measure_color"]

BANDS = ((0.06, 0.15), (0.15, 0.25), (0.25, 0.35), (0.35, 0.5))
"""The bands of the spectrum's summary, in cycles per pixel."""

LAGS = (1, 2, 3)

# Chosen on the training and validation images of docs/real_noise.md; benchmarks/noise_measurement.py scores them.
LARGEST_CLIPPED = 0.5
COLORED_RATIO = 0.3  # white noise: 1; a Gaussian kernel of 0.6 pixels: 0.13; a detector of 0.3 cycles/pixel: 0.22
FAINT = 1.5 / 255
FLOOR = 4.5 / 255
EVEN = 1.4


@dataclass(frozen=True)
class ColorMeasurement:
    """The color of an image's noise.

    Attributes:
        high_to_middle: power at 0.38 to 0.5 cycles per pixel over that at 0.09 to 0.25, along the axis where it is
            smaller: 1 for white noise, near 0 for noise that is smooth along any axis.
        floor: square root of the power at 0.09 to 0.25 cycles per pixel that all but 5 % of the blocks exceed, as a
            share of the intensity range: structure alone leaves quiet blocks, noise does not.
        rows: autocorrelation from row to row at lags 1 to 3, in the quietest blocks.
        columns: autocorrelation from column to column.
        spectrum: power in each of :data:`BANDS`, relative to the mean over all; 1 everywhere for white noise.
        colored: whether the noise is colored. False for noise too weak to tell.
    """

    high_to_middle: float
    floor: float
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    spectrum: tuple[float, ...]
    colored: bool


def measure_color(blocks: Blocks) -> ColorMeasurement:
    """Measure the color of noise.

    In every range of intensities, the blocks with the least structure are compared: structure has little power at the
    highest frequencies, as colored noise does, so the range with the largest share of high frequencies counts most.
    The noise is called colored if that share is low and if, besides, hardly any block is quiet, or if most blocks of a
    range have about the same power. That keeps the texture of clean images from being taken for colored noise.

    Args:
        blocks: blocks of an image whose intensity range is [0, 1].

    Returns:
        The measurement; that of weak white noise if no block can be measured.
    """
    groups = list(bins_by_intensity(blocks[blocks.clipped <= LARGEST_CLIPPED]))
    quiet = [quietest(group) for group in groups]
    levels = np.array([np.sqrt(each.middle.mean()) for each in quiet])
    if not groups or levels.max() < FAINT:
        return ColorMeasurement(1.0, 0.0, (0.0,) * len(LAGS), (0.0,) * len(LAGS), (1.0,) * len(BANDS), False)
    strong = np.flatnonzero(levels >= max(FAINT, 0.5 * np.median(levels)))
    ratios = [min(quiet[i].high_rows.mean(), quiet[i].high_columns.mean()) / quiet[i].middle.mean() for i in strong]
    ratio = float(np.percentile(ratios, 90))
    floor = float(np.sqrt(np.percentile(np.concatenate([group.middle for group in groups]), 5)))
    colored = ratio < COLORED_RATIO and (floor > FLOOR or sum(map(_is_even, groups)) >= 2)
    # The range that decided shows the noise with the least structure.
    shown = quiet[strong[int(np.argmax(ratios))]]
    rows, columns = _autocorrelation(shown.pixels)
    return ColorMeasurement(ratio, floor, rows, columns, _spectrum_summary(shown), bool(colored))


def _is_even(group: Blocks) -> bool:
    """Whether the blocks hold about the same power, as noise gives it to them, and more than a clean image's grain."""
    low, third = np.percentile(group.middle, [5, 30])
    return bool(np.sqrt(low) > FLOOR and third < EVEN * low)


def _autocorrelation(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    values = _without_plane(pixels)
    variance = np.square(values).mean()
    rows = tuple(float((values[:, lag:] * values[:, :-lag]).mean() / variance) for lag in LAGS)
    columns = tuple(float((values[..., lag:] * values[..., :-lag]).mean() / variance) for lag in LAGS)
    return rows, columns


def _without_plane(pixels: np.ndarray) -> np.ndarray:
    """The blocks less the plane of best fit through each."""
    ramp = np.arange(BLOCK, dtype=np.float64) - (BLOCK - 1) / 2
    scale = np.square(ramp).sum() * BLOCK
    values = pixels - pixels.mean((1, 2), keepdims=True, dtype=np.float64)
    down = np.einsum("nij,i->n", values, ramp) / scale
    across = np.einsum("nij,j->n", values, ramp) / scale
    return values - down[:, None, None] * ramp[:, None] - across[:, None, None] * ramp


def _spectrum_summary(blocks: Blocks) -> tuple[float, ...]:
    power = blocks.spectrum()
    frequency = np.hypot(*np.meshgrid(np.arange(BLOCK), np.arange(BLOCK))) / (2 * BLOCK)
    means = [power[(frequency > low) & (frequency <= high)].mean() for low, high in BANDS]
    whole = power[(frequency > BANDS[0][0]) & (frequency <= BANDS[-1][1])].mean()
    return tuple(float(mean / whole) for mean in means)
