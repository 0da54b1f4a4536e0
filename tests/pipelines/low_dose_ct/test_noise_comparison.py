# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.low_dose_ct.noise_comparison import (
    anisotropy,
    compare_noise,
    noise_in_regions,
    noise_regions,
)
from noisewise.pipelines.low_dose_ct.noise_power import noise_power_spectrum
from noisewise.transforms import LowDoseCT, line_integrals


@pytest.fixture(scope="module")
def water() -> np.ndarray:
    rows, columns = np.ogrid[:128, :128]
    return np.where(np.hypot(rows - 70.5, columns - 60.5) < 55, 40.0, -1000.0)


@pytest.fixture(scope="module")
def simulation() -> LowDoseCT:
    return LowDoseCT(dose=0.25, kernel="soft", seed=1)


def test_noise_of_regions_is_that_of_the_whole_slice(water, simulation):
    regions = noise_regions(water)
    whole = simulation.noise(line_integrals(torch.from_numpy(water), 0.7), water.shape).numpy()
    part = noise_in_regions(water, simulation, regions)
    for region in regions:
        np.testing.assert_allclose(part[region], whole[region], atol=1e-4)
    assert (part == 0).any()


def test_both_noises_are_measured_in_the_same_places(water, simulation):
    regions = noise_regions(water)
    noise = np.random.default_rng(0).normal(0, 7, water.shape)
    measured = compare_noise(water + noise, water, simulation, subject="L001", tube_current=200.0)
    assert measured.regions == len(regions) >= 3
    assert measured.real_std_hu == pytest.approx(7, rel=0.05)
    simulated = noise_in_regions(water, simulation, regions)
    assert measured.simulated_std_hu == pytest.approx(np.mean([simulated[r].std() for r in regions]), rel=0.1)
    assert (measured.subject, measured.tube_current) == ("L001", 200.0)
    # White noise is finer than that of a soft kernel.
    assert measured.real.mean_frequency > 1.3 * measured.simulated.mean_frequency


def test_slice_without_soft_tissue_has_no_measures(simulation):
    measured = compare_noise(*np.full((2, 64, 64), -1000.0), simulation)
    assert measured.regions == 0
    assert np.isnan(measured.real_std_hu) and measured.simulated is None


def test_anisotropy_tells_along_which_axis_noise_varies():
    noise = np.random.default_rng(0).normal(size=(64, 64))
    regions = [(slice(0, 64), slice(0, 64))]
    vertical_streaks = noise + 2 * noise[:1]
    spectra = [noise_power_spectrum(image, regions) for image in (noise, vertical_streaks, vertical_streaks.T)]
    even, vertical, horizontal = (anisotropy(spectrum) for spectrum in spectra)
    assert even == pytest.approx(1, abs=0.15)
    assert vertical > 3 and horizontal == pytest.approx(1 / vertical)
