# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import polynomial
from scipy import ndimage, signal

from noisewise.pipelines.low_dose_ct import noise_power_spectrum, residual_noise_std
from noisewise.pipelines.low_dose_ct.noise_power import remove_trend

SPACING = 0.7


def tiles(size: int, side: int) -> list[tuple[slice, slice]]:
    starts = range(0, side - size + 1, size)
    return [(slice(row, row + size), slice(column, column + size)) for row in starts for column in starts]


@pytest.fixture(scope="module")
def white() -> np.ndarray:
    return np.random.default_rng(0).normal(30, 12, (512, 512))


@pytest.mark.parametrize("window", ["none", "hann"])
def test_white_noise_is_flat_at_its_variance_times_the_pixel_area(white, window):
    spectrum = noise_power_spectrum(white, tiles(32, 512), SPACING, window)
    frequency, power = spectrum.radial()
    np.testing.assert_allclose(power[3:], 144 * SPACING**2, rtol=0.05)
    assert frequency[0] == pytest.approx(1 / (32 * SPACING))
    assert frequency[-1] == pytest.approx(0.5 / SPACING)
    assert spectrum.variance == pytest.approx(144, rel=0.02)


def test_filtered_noise_has_the_filters_squared_gain(white):
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    spectrum = noise_power_spectrum(ndimage.convolve(white, kernel, mode="wrap"), tiles(64, 512), SPACING, "hann")
    axis = np.fft.fftfreq(64)
    gain = np.outer(0.5 + 0.5 * np.cos(2 * np.pi * axis), 0.5 + 0.5 * np.cos(2 * np.pi * axis))
    truth = 144 * SPACING**2 * gain**2
    # 64 regions leave each element uncertain by an eighth; means over blocks are much better known.
    block = (slice(4, 32), slice(4, 32))
    assert spectrum.power[block].sum() == pytest.approx(truth[block].sum(), rel=0.03)
    _, power = spectrum.radial()
    rings = np.rint(np.hypot(axis[:, None], axis) * 64).astype(int)
    expected = np.array([truth[rings == ring].mean() for ring in range(1, 33)])
    np.testing.assert_allclose(power[3:20], expected[3:20], rtol=0.15)


def test_integral_is_the_variance_and_its_root_the_noise(white):
    regions = tiles(32, 512)
    spectrum = noise_power_spectrum(white, regions, SPACING)
    assert spectrum.variance == pytest.approx(residual_noise_std(white, regions) ** 2, rel=1e-12)
    # Against the plain variance of all pixels, less the trend's 6 of 1024 degrees of freedom.
    assert spectrum.variance == pytest.approx(white.var() * (1 - 6 / 1024), rel=2e-3)


def test_peak_and_mean_frequency_of_a_ring_of_noise():
    rng, side = np.random.default_rng(1), 512
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    shape = np.exp(-(((radius - 0.2) / 0.04) ** 2) / 2)
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * shape).real
    spectrum = noise_power_spectrum(noise, tiles(64, side), spacing_mm=0.5, window="hann")
    assert spectrum.peak_frequency == pytest.approx(0.4, abs=0.04)
    assert spectrum.mean_frequency == pytest.approx(0.4, abs=0.01)


def test_against_scipys_periodogram(white):
    region = (slice(32, 96), slice(100, 164))
    rows = signal.periodogram(remove_trend(white[region][None])[0], detrend=False, return_onesided=False)[1]
    power = noise_power_spectrum(white, [region]).power
    # By Parseval, summing out one axis of the spectrum leaves the mean periodogram of the other.
    np.testing.assert_allclose(power.mean(0), rows.mean(0), rtol=1e-10)


def test_the_trend_of_the_anatomy_is_no_noise():
    y, x = np.mgrid[:32, :32] / 32.0
    region = [(slice(0, 32), slice(0, 32))]
    assert residual_noise_std(polynomial.polyval2d(y, x, [[40, 30, -8], [20, 12, 0], [5, 0, 0]]), region) < 1e-9
    assert residual_noise_std(100 * np.sin(20 * x), region) > 50


@pytest.mark.parametrize(
    "regions, options, message",
    [
        ([], {}, "at least one region"),
        ([(slice(0, 8), slice(0, 9))], {}, "square"),
        ([(slice(0, 8), slice(0, 8)), (slice(0, 9), slice(0, 9))], {}, "one size"),
        ([(slice(28, 36), slice(0, 8))], {}, "inside the image"),
        ([(slice(0, 8), slice(0, 8))], {"window": "hamming"}, "window"),
        ([(slice(0, 8), slice(0, 8))], {"spacing_mm": 0}, "spacing_mm"),
    ],
)
def test_bad_input(regions, options, message):
    with pytest.raises(ValueError, match=message):
        noise_power_spectrum(np.zeros((32, 32)), regions, **options)
