# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The documented limits of the audit: residuals just below one give no warning, residuals just above it do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from noisewise.pipelines.audit.residual import ResidualAudit, audit_residual, significance_map

SIDE = 128
# Standard deviation in pixels of a Gaussian, and the significance that it may reach.
SIGNIFICANCE = {1.5: 11.0, 3.0: 8.0, 6.0: 7.5}
# Of each, that of a blob which it finds best, and an amplitude that clearly exceeds the limit.
BLOBS = {1.5: (0.7, 20.0), 3.0: (3.0, 2.0), 6.0: (8.0, 1.0)}


def white(*shape: int) -> np.ndarray:
    """White noise of zero mean and unit variance, to the last digit."""
    noise = np.random.RandomState(3).standard_normal(shape)
    return (noise - noise.mean()) / noise.std()


def scene() -> np.ndarray:
    """Disks of several sizes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    centers = ((40, 40, 25), (85, 80, 30), (30, 100, 12), (100, 25, 6))
    return sum(50.0 * (np.hypot(rows - row, columns - column) < radius) for row, column, radius in centers)


def solve(measure: Callable[[float], float], value: float, high: float) -> float:
    """The argument in [0, high] at which an increasing function has a value."""
    low = 0.0
    assert measure(low) < value < measure(high)
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if measure(middle) < value else (low, middle)
    return low


def warned(audit: ResidualAudit, words: str) -> bool:
    return any(words in warning for warning in audit.warnings)


# side of the image, limit: one tenth of the noise, or four standard errors in small images
@pytest.mark.parametrize(("side", "limit"), [(SIDE, 0.1), (20, 4 / 20)])
@pytest.mark.parametrize("sign", [1, -1])
def test_brightness(side, limit, sign):
    for factor in (0.98, 1.02):
        removed = white(side, side) + sign * factor * limit
        assert warned(audit_residual(100 + removed, removed), "the brightness was shifted") == (factor > 1)


@pytest.mark.parametrize(("side", "limit"), [(SIDE, 0.12), (20, 4 / 20)])
def test_neighbors(side, limit):
    noise = white(side, side)
    alike = np.roll(noise, 1, 1)

    def audit(share: float) -> ResidualAudit:
        removed = noise + share * alike
        return audit_residual(100 + removed, removed)

    for factor in (0.98, 1.02):
        share = solve(lambda share: audit(share).autocorrelation[0], factor * limit, 0.6)
        found = audit(share)
        assert found.autocorrelation[0] == pytest.approx(factor * limit, rel=1e-3)
        assert found.largest_autocorrelation == found.autocorrelation[0]
        assert warned(found, "neighboring pixels") == (factor > 1)


def test_structure():
    image, noise = scene(), white(SIDE, SIDE)
    edges = ndimage.gaussian_filter(image, 2) - ndimage.gaussian_filter(image, 4)

    def audit(share: float) -> ResidualAudit:
        removed = noise + share * edges / edges.std()
        return audit_residual(image + removed, removed)

    for factor in (0.98, 1.02):
        share = solve(lambda share: audit(share).structure_correlation, factor * 0.14, 0.5)
        found = audit(share)
        assert found.structure_correlation == pytest.approx(factor * 0.14, rel=1e-3)
        assert warned(found, "follows the image's edges") == (factor > 1)


@pytest.mark.parametrize("scale", SIGNIFICANCE)
def test_places(scale):
    (width, largest), noise = BLOBS[scale], white(SIDE, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    blob = np.exp(-((rows - 64) ** 2 + (columns - 64) ** 2) / (2 * width**2))

    def significance(removed: np.ndarray) -> float:
        """The largest significance over the scales in the middle, from its definition, without the audit's code."""
        centered = removed - removed.mean()
        normal = centered / np.sqrt(ndimage.gaussian_filter(centered**2, 8))
        found = []
        for sigma, limit in SIGNIFICANCE.items():
            smooth = ndimage.gaussian_filter(normal, sigma, mode="constant") * 2 * np.sqrt(np.pi) * sigma
            spread = 1.4826 * np.median(np.abs(smooth - np.median(smooth)))
            found.append(smooth[52:76, 52:76].max() / limit / max(1, spread))
        return max(found)

    for factor in (0.96, 1.04):
        amplitude = solve(lambda amplitude: significance(noise + amplitude * blob), factor, largest)
        removed = noise + amplitude * blob
        assert significance_map(100 + removed, removed)[52:76, 52:76].max() == pytest.approx(factor, rel=0.05)
        places = audit_residual(100 + removed, removed).places
        assert [(abs(place.row - 64) < 6, place.scale) for place in places] == [(True, scale)] * (factor > 1)


# 256 pixels are enough for a warning.
@pytest.mark.parametrize(("shape", "warns"), [((16, 16), True), ((15, 17), False)])
def test_fewest_pixels(shape, warns):
    removed = white(*shape) + 0.5
    assert bool(audit_residual(100 + removed, removed).warnings) == warns
