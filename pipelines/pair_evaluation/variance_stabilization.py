# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A transform that makes noise of a measured curve about uniform, and its unbiased inverse."""

from __future__ import annotations

import numpy as np

from ..noise_measurement import NoiseCurve

__all__ = ["VarianceStabilizer"]

POINTS = 2001
LEAST_SHARE = 0.02


class VarianceStabilizer:
    """The transform ``f(x)`` with ``f' = 1 / std(x)``, so that noise of a curve gets a standard deviation of about 1.

    The inverse is that of ``E[f(x + std(x) n)]``, n standard normal, tabulated: the plain inverse would be biased
    (Mäkitalo and Foi, IEEE Transactions on Image Processing 22(1), 2013).

    Args:
        curve: a measured curve of an image in [0, 1].
    """

    def __init__(self, curve: NoiseCurve) -> None:
        self.grid = np.linspace(-1.0, 2.0, POINTS)
        std = curve.std_at(self.grid)
        # The dark end of pure speckle has no noise; a floor keeps the transform finite.
        std = np.maximum(std, LEAST_SHARE * std.max() + 1e-6)
        self.values = np.concatenate([[0.0], np.cumsum((1 / std[1:] + 1 / std[:-1]) / 2 * np.diff(self.grid))])
        normal = np.linspace(-4.0, 4.0, 81)
        weights = np.exp(-np.square(normal) / 2)
        weights /= weights.sum()
        means = self.forward(self.grid[:, None] + std[:, None] * normal) @ weights
        self.means = np.maximum.accumulate(means)

    def forward(self, image: np.ndarray) -> np.ndarray:
        """Stabilize intensities, of any shape."""
        return np.interp(image, self.grid, self.values)

    def inverse(self, stabilized: np.ndarray) -> np.ndarray:
        """Map stabilized, denoised intensities back."""
        return np.interp(stabilized, self.means, self.grid)
