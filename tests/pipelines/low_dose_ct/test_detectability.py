# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from noisewise.pipelines.low_dose_ct import (
    area_under_curve,
    disk_signal,
    gaussian_transfer,
    hotelling_observer,
    laguerre_gauss_channels,
)

SIZE = 33
CHANNELS = laguerre_gauss_channels(SIZE, width_px=14)


def regions(count: int, seed: int, noise_hu: float = 20) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).normal(40, noise_hu, (2, count, SIZE, SIZE)))


def signal(d_prime: float, noise_hu: float = 20) -> np.ndarray:
    """A blurred disk that an ideal observer detects in white noise with this d', which is its energy over the noise."""
    disk = disk_signal(1, 6.3, SIZE, 0.7, gaussian_transfer(0.7))
    return disk * d_prime * noise_hu / np.linalg.norm(disk)


def test_channels_are_orthonormal_and_round():
    channels = laguerre_gauss_channels(65, width_px=14)
    np.testing.assert_allclose(channels @ channels.T, np.eye(5), atol=0.01)
    pictures = channels.reshape(5, 65, 65)
    np.testing.assert_allclose(pictures, pictures.transpose(0, 2, 1))
    np.testing.assert_allclose(pictures[:, 32, 32], np.sqrt(2) / 14)


@pytest.mark.parametrize("d_prime", [0.8, 1.5, 2.5])
def test_known_signal_in_white_noise(d_prime):
    absent, other = regions(600, seed=3)
    lesion = signal(d_prime)
    # What the channels let through: d'^2 = (U s)' (sigma^2 U U')^-1 (U s); nearly all of it for a round signal.
    seen = CHANNELS @ lesion.ravel()
    analytic = np.sqrt(seen @ np.linalg.solve(400 * CHANNELS @ CHANNELS.T, seen))
    assert 0.95 * d_prime < analytic <= d_prime
    result = hotelling_observer(other + lesion, absent, CHANNELS)
    assert result.d_prime == pytest.approx(analytic, abs=0.15)
    assert result.auc == pytest.approx(norm.cdf(analytic / np.sqrt(2)), abs=0.03)
    assert result.auc == area_under_curve(result.present, result.absent)
    assert result.present.mean() + result.absent.mean() == pytest.approx(0, abs=0.25)


def test_correlated_noise_is_prewhitened():
    # Noise of the background level in every region: it drowns the signal in the plain sum of pixels, not in S^-1.
    absent, other = regions(400, seed=4)
    level = np.random.default_rng(5).normal(0, 100, (2, 400, 1, 1))
    lesion = signal(2.0)
    result = hotelling_observer(other + level[0] + lesion, absent + level[1], CHANNELS)
    seen, shift = CHANNELS @ lesion.ravel(), CHANNELS.sum(1)
    covariance = 400 * CHANNELS @ CHANNELS.T + 1e4 * np.outer(shift, shift)
    analytic = np.sqrt(seen @ np.linalg.solve(covariance, seen))
    assert result.d_prime == pytest.approx(analytic, abs=0.2)
    assert analytic > 3 * (seen @ seen) / np.sqrt(seen @ covariance @ seen)


def test_nothing_is_found_in_pure_noise():
    results = [hotelling_observer(*regions(30, seed), CHANNELS) for seed in range(60)]
    assert np.mean([result.auc for result in results]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([result.d_prime for result in results]) == pytest.approx(0, abs=0.12)


def test_lesions_in_the_same_noise():
    absent, _ = regions(300, seed=6)
    lesion = signal(1.5)
    assert hotelling_observer(absent + lesion, absent, CHANNELS).d_prime == pytest.approx(1.5, abs=0.2)


def test_less_noise_is_better_and_an_erased_lesion_is_not_found():
    absent, other = regions(100, seed=7)
    lesion = signal(1.0)
    assert (
        hotelling_observer(other / 2 + lesion, absent / 2, CHANNELS).d_prime
        > 1.5 * hotelling_observer(other + lesion, absent, CHANNELS).d_prime
    )
    erased = hotelling_observer(absent, absent, CHANNELS)
    assert (erased.auc, erased.d_prime) == (0.5, 0.0)


def test_area_under_curve_counts_pairs():
    present, absent = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])
    pairs = np.sign(present[:, None] - absent).mean() / 2 + 0.5
    assert area_under_curve(present, absent) == pytest.approx(pairs) == pytest.approx(4.5 / 6)


@pytest.mark.parametrize(
    "present, absent, message",
    [
        (np.zeros((20, 8, 8)), np.zeros((20, 8, 8)), "shape"),
        (np.zeros((20, SIZE, SIZE)), np.zeros((19, SIZE, SIZE)), "shape"),
        (np.zeros((6, SIZE, SIZE)), np.zeros((6, SIZE, SIZE)), "7 or more"),
        (np.full((20, SIZE, SIZE), np.nan), np.zeros((20, SIZE, SIZE)), "finite"),
        (np.ones((20, SIZE, SIZE)), np.zeros((20, SIZE, SIZE)), "too little noise"),
    ],
)
def test_bad_input(present, absent, message):
    with pytest.raises(ValueError, match=message):
        hotelling_observer(present, absent, CHANNELS)


@pytest.mark.parametrize("arguments", [(0, 5, 5), (9, 0, 5), (9, 5, 0)])
def test_bad_channels(arguments):
    with pytest.raises(ValueError, match="positive"):
        laguerre_gauss_channels(*arguments)
