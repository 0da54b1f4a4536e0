# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The standard deviation of noise over intensity, and the model that fits it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import chi2

from .blocks import BLOCK, Blocks
from .intensity_bins import bins_by_intensity, quietest

__all__ = ["NoiseCurve", "measure_curve"]

LARGEST_CLIPPED = 0.02
FEWEST_BLOCKS = 36
BINS = 10
QUANTILE = 0.15
FEWEST_FREEDOMS = 8.0
UPPER_FREEDOMS = BLOCK**2 - (BLOCK // 2) ** 2


@dataclass(frozen=True)
class NoiseCurve:
    """The noise at several intensities, in the unit of the image.

    Attributes:
        intensity: mean intensities, rising.
        std: standard deviation of the noise at each.
        constant: a of ``variance = a + b x + c x^2``, the part that does not depend on x, the distance from black.
        linear: b, the part of photon noise.
        quadratic: c, the part of speckle.
    """

    intensity: tuple[float, ...]
    std: tuple[float, ...]
    constant: float
    linear: float
    quadratic: float

    def std_at(self, distance: np.ndarray) -> np.ndarray:
        """The model's standard deviation at some distances x from black; below 0 it is that at 0."""
        x = np.clip(np.asarray(distance, np.float64), 0, None)
        return np.sqrt(self.constant + self.linear * x + self.quadratic * np.square(x))


def measure_curve(blocks: Blocks, colored: bool) -> NoiseCurve:
    """Measure the noise in ranges of intensity.

    In each range, a low quantile of the blocks' power is taken, where structure adds least, and corrected for being
    low: the power of a block of pure noise follows a chi-squared distribution. White noise is measured at 0.25 to 0.5
    cycles per pixel, where structure has little power. Colored noise may have none there, so all frequencies count.

    Args:
        blocks: blocks of the image. Those with clipped pixels are left out, if enough are without.
        colored: whether the noise is colored.

    Returns:
        The curve and its fit by non-negative least squares of the relative error; empty and zero without blocks.
    """
    unclipped = blocks[blocks.clipped <= LARGEST_CLIPPED]
    usable = unclipped if len(unclipped) >= FEWEST_BLOCKS else blocks[blocks.clipped < 1]
    intensity, variance = [], []
    for group in bins_by_intensity(usable, BINS):
        power = group.variance if colored else group.upper
        freedoms = _freedoms(quietest(group)) if colored else UPPER_FREEDOMS
        intensity.append(float(group.mean.mean()))
        variance.append(float(np.quantile(power, QUANTILE) / (chi2.ppf(QUANTILE, freedoms) / freedoms)))
    return NoiseCurve(tuple(intensity), tuple(np.sqrt(variance).tolist()), *_fit(intensity, variance))


def _freedoms(blocks: Blocks) -> float:
    """How many independent values a block of this noise is worth."""
    power = np.where(np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) <= 1, 0, blocks.spectrum())
    total = np.square(power).sum()
    return max(FEWEST_FREEDOMS, float(power.sum() ** 2 / total)) if total > 0 else FEWEST_FREEDOMS


def _fit(intensity: list[float], variance: list[float]) -> tuple[float, float, float]:
    x, y = (np.asarray(values, np.float64) for values in (intensity, variance))
    if not len(y) or y.max() <= 0:
        return 0.0, 0.0, 0.0
    weight = 1 / np.maximum(y, 1e-3 * y.max())
    scale = max(float(np.abs(x).max()), np.finfo(np.float64).tiny)
    # Scaled, so that the three columns are of one size.
    terms = np.stack([np.ones_like(x), np.clip(x, 0, None) / scale, np.square(np.clip(x, 0, None) / scale)], 1)
    found, _ = nnls(terms * weight[:, None], y * weight)
    return float(found[0]), float(found[1] / scale), float(found[2] / scale**2)
