# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Colored noise: unit variance, the correlations that each kind promises, repeatable draws."""

from __future__ import annotations

import numpy as np
import pytest

from noisewise.transforms import COLORS, NoiseColor, unit_noise


def fields(color: NoiseColor, count: int = 40, side: int = 128, seed: int = 0) -> np.ndarray:
    return unit_noise((count, side, side), color, np.random.RandomState(seed)).astype(np.float64)


def correlation(noise: np.ndarray, rows: int, columns: int) -> float:
    """Correlation of pixels that are so far apart; the mean is known to be 0 and the variance to be 1."""
    side = noise.shape[-1]
    return float(np.mean(noise[:, : side - rows, : side - columns] * noise[:, rows:, columns:]))


@pytest.mark.parametrize(
    "color",
    [
        NoiseColor("white"),
        NoiseColor("gaussian", 0.3, 0.3),
        NoiseColor("gaussian", 1.5, 0.4, angle=0.7),
        NoiseColor("resampled", 1.5, 1.5),
        NoiseColor("resampled", 2.2, 1.3, order=3),
        NoiseColor("resampled", 1.0, 1.0),
        NoiseColor("kspace", 0.5, 0.8, angle=0.5),
        NoiseColor("detector", 0.2, 0.3, white=0.3),
        NoiseColor("lines", 0.5, 1.0, white=0.8),
    ],
)
def test_unit_variance_and_zero_mean(color):
    noise = fields(color)
    # Neighbors within about 3 pixels are alike: 655,360 pixels are worth at least 40,000 independent ones. Lines are
    # worth the 128 of each axis of the 40 fields, with a fifth of the variance.
    assert np.mean(np.square(noise)) == pytest.approx(1, abs=0.03)
    assert np.mean(noise) == pytest.approx(0, abs=0.03)
    assert noise.shape == (40, 128, 128)


# color, distance in rows, distance in columns, correlation by theory
@pytest.mark.parametrize(
    ("color", "rows", "columns", "expected"),
    [
        (NoiseColor("white"), 1, 0, 0.0),
        # Gaussian kernels convolved with themselves: exp(-d^2 / (4 sigma^2)).
        (NoiseColor("gaussian", 1.0, 1.0), 1, 0, np.exp(-1 / 4)),
        (NoiseColor("gaussian", 1.5, 0.8), 2, 0, np.exp(-4 / 9)),
        (NoiseColor("gaussian", 1.5, 0.8), 0, 1, np.exp(-1 / 2.56)),
        (NoiseColor("gaussian", 1.5, 0.8, angle=np.pi / 2), 1, 0, np.exp(-1 / 2.56)),
        # A band of half the frequencies, untapered: sinc(d / 2).
        (NoiseColor("kspace", 0.5, 1.0, angle=0.0), 1, 0, np.sinc(0.5)),
        (NoiseColor("kspace", 0.5, 1.0, angle=0.0), 0, 1, 0.0),
        # Linear interpolation to twice the size has taps of 1/4 and 3/4: neighbors share the heavy tap of one sample
        # (covariance 9/16) or two samples (2 * 3/16) in turn, over a variance of 5/8.
        (NoiseColor("resampled", 2.0, 1.0), 1, 0, (9 / 16 + 3 / 8) / 2 / (5 / 8)),
        (NoiseColor("resampled", 2.0, 1.0), 0, 1, 0.0),
        (NoiseColor("lines", 1.0, 0.0), 0, 50, 1.0),
        (NoiseColor("lines", 1.0, 0.0), 1, 0, 0.0),
        (NoiseColor("lines", 0.6, 0.8, white=0.5), 0, 50, 0.5 * 0.36),
        (NoiseColor("gaussian", 1.0, 1.0, white=0.4), 1, 0, 0.6 * np.exp(-1 / 4)),
    ],
)
def test_correlations_are_those_of_theory(color, rows, columns, expected):
    assert correlation(fields(color), rows, columns) == pytest.approx(expected, abs=0.04)


def test_detector_spectrum_falls_as_stated():
    noise = fields(NoiseColor("detector", 0.2, 0.2), count=200)
    spectrum = np.mean(np.square(np.abs(np.fft.fft2(noise))), 0)
    at = [spectrum[0, round(128 * f)] / spectrum[0, 1] for f in (0.1, 0.2, 0.4)]
    expected = [((1 + (1 / 128 / 0.2) ** 2) / (1 + (f / 0.2) ** 2)) ** 2 for f in (0.1, 0.2, 0.4)]
    np.testing.assert_allclose(at, expected, rtol=0.3, atol=0.01)


def test_opposite_borders_and_channels_are_independent():
    noise = fields(NoiseColor("gaussian", 1.5, 1.5), count=400, side=32)
    assert np.mean(noise[:, 0] * noise[:, -1]) == pytest.approx(0, abs=0.05)
    assert np.mean(noise[1:] * noise[:-1]) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("kind", sorted(COLORS))
def test_a_seed_repeats_the_field(kind):
    color = NoiseColor(kind, rows=1.0, columns=1.0)
    first, again, other = (fields(color, 2, 20, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


# arguments, what the message says
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "pink"}, "must be one of"),
        ({"kind": "gaussian", "rows": 4.0}, "rows of 'gaussian' noise must lie in"),
        ({"kind": "resampled", "columns": 0.5}, "columns of 'resampled' noise must lie in"),
        ({"kind": "gaussian", "white": 1.5}, "white must be a share"),
        ({"kind": "resampled", "order": 2}, "order must be 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseColor(**arguments)
