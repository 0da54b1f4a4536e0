# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from noisewise.pipelines.low_dose_ct import RadialWienerFilter

SIDE = 256


def radius(side: int) -> np.ndarray:
    axis = np.fft.fftfreq(side)
    return np.hypot(axis[:, None], axis)


def field(power, seed: int) -> np.ndarray:
    """Gaussian noise whose power spectrum is ``power(f)``, f in cycles/pixel."""
    white = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    return np.fft.ifft2(np.fft.fft2(white) * np.sqrt(power(radius(SIDE)))).real


def anatomy(f: np.ndarray) -> np.ndarray:
    return 4000 / (1 + (f / 0.05) ** 2) ** 1.5


def noise(f: np.ndarray) -> np.ndarray:
    """A ramp with a roll-off, as after a sharp kernel."""
    return 20 + 3000 * f * np.exp(-((f / 0.35) ** 2))


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    full = 40 + field(anatomy, 3 * seed) + field(noise, 3 * seed + 1)
    return full + np.sqrt(3) * field(noise, 3 * seed + 2), full


@pytest.fixture(scope="module")
def fitted() -> RadialWienerFilter:
    return RadialWienerFilter.fit(pair(seed) for seed in range(4))


def test_gain_is_the_optimum_of_known_spectra(fitted):
    f = np.arange(33) / 64
    optimum = (anatomy(f) + noise(f)) / (anatomy(f) + 4 * noise(f))
    np.testing.assert_allclose(fitted.gain[3:], optimum[3:], atol=0.04)
    assert fitted.gain[0] == 1


def test_error_is_the_optimums(fitted):
    quarter, full = pair(9)
    f = np.minimum(radius(SIDE), 0.5)
    optimum = (anatomy(f) + noise(f)) / (anatomy(f) + 4 * noise(f))
    f = radius(SIDE)
    error = ((1 - optimum) ** 2 * (anatomy(f) + noise(f)) + 3 * optimum**2 * noise(f)).mean()
    inside = (slice(32, -32), slice(32, -32))
    measured = ((fitted(quarter) - full)[inside] ** 2).mean()
    assert measured == pytest.approx(error, rel=0.05)
    assert measured < 0.7 * ((quarter - full)[inside] ** 2).mean()


def test_without_anatomy_a_quarter_of_the_noise_is_kept_and_the_ratio_is_one_half():
    full = 40 + field(noise, 0)
    quarter = full + np.sqrt(3) * field(noise, 1)
    wiener = RadialWienerFilter.fit([(quarter, full)])
    np.testing.assert_allclose(wiener.gain[4:], 0.25, atol=0.05)
    assert wiener.gain[1] < 0.5  # the mean's leak through the taper would be 1
    ratio = np.sqrt(((wiener(quarter) - full) ** 2).mean() / ((quarter - full) ** 2).mean())
    assert ratio == pytest.approx(0.5, abs=0.02)


def test_filtering_keeps_means_and_shapes_and_has_the_gain_of_each_frequency():
    wiener = RadialWienerFilter(np.linspace(1, 0, 33), 64)
    np.testing.assert_allclose(wiener(np.full((70, 91), -37.0)), -37)
    rows = np.arange(128)[:, None] + np.zeros((1, 100))
    wave = np.cos(2 * np.pi * (rows + 0.5) / 8)  # symmetric at both sides, so reflection continues it
    np.testing.assert_allclose(wiener(wave), 0.75 * wave, atol=1e-6)


def test_windows_outside_the_body_do_not_count():
    quarter, full = pair(0)
    blank = full.copy()
    blank[:, 128:] = -1000
    garbage = quarter.copy()
    garbage[:, 128:] = np.random.default_rng(0).normal(0, 1000, (SIDE, 128))
    inside = RadialWienerFilter.fit([(quarter[:, :128], full[:, :128])])
    np.testing.assert_allclose(RadialWienerFilter.fit([(garbage, blank)]).gain, inside.gain)


def test_bad_input():
    air = np.full((128, 128), -1000.0)
    for pairs in ([], [(air, air)], [(np.zeros((32, 32)), np.zeros((32, 32)))]):
        with pytest.raises(ValueError, match="inside a body"):
            RadialWienerFilter.fit(pairs)
    with pytest.raises(ValueError, match="one shape"):
        RadialWienerFilter.fit([(air, air[1:])])
    with pytest.raises(ValueError, match="33 finite values"):
        RadialWienerFilter(np.ones(32), 64)
    with pytest.raises(ValueError, match="finite values only"):
        RadialWienerFilter(np.ones(33), 64)([[np.inf]])
