# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A phantom whose anatomy, blur and noise are known exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import erf


@pytest.fixture(scope="session")
def phantom() -> Callable[..., np.ndarray]:
    """Makes a slice: a body of soft tissue in air, off the middle, with a lung, a patch of fat, bone, and a table."""

    def disk(size: int, row: float, column: float, radius: float, blur_px: float) -> np.ndarray:
        rows, columns = np.ogrid[:size, :size]
        inside = radius - np.hypot(rows - row, columns - column)
        # A straight edge's profile: exact to the edge's curvature, and no grid blurs it further.
        return (1 + erf(inside / (np.sqrt(2) * blur_px))) / 2

    def make(noise_hu: float = 0.0, blur_px: float = 0.8, seed: int = 0, size: int = 256) -> np.ndarray:
        image = np.full((size, size), -1000.0)
        image[244:249, 40:220] = 100.0
        body = disk(size, 125.3, 130.7, 100.2, blur_px)
        image = image * (1 - body) + 50 * body
        for row, column, radius, value in ((100, 85, 30, -850), (100, 180, 25, -100), (180, 130, 20, 600)):
            part = disk(size, row + 0.2, column - 0.4, radius, blur_px)
            image = image * (1 - part) + value * part
        return image + np.random.default_rng(seed).normal(0, noise_hu, image.shape)

    return make
