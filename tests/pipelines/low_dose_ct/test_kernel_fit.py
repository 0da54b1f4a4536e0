# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.low_dose_ct.kernel_fit import fit_kernel
from noisewise.transforms import KERNELS, PHOTONS_PER_MA, LowDoseCT, line_integrals

SPACING = 0.7


@pytest.fixture(scope="module")
def slice_hu() -> np.ndarray:
    rows, columns = np.ogrid[:160, :160]
    return np.where(np.hypot(rows - 79.5, columns - 79.5) < 75, 40.0, -1000.0)


def make_pairs(slice_hu, kernel, photons_per_ma, currents):
    image = torch.from_numpy(slice_hu).float()
    integrals = line_integrals(image, SPACING)
    for seed, current in enumerate(currents):
        noise = LowDoseCT(0.25, current * photons_per_ma, kernel, seed=1000 + seed, pixel_mm=SPACING)
        yield slice_hu + noise.noise(integrals, image.shape).numpy(), slice_hu


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_finds_the_noise_power_that_pairs_were_made_with(slice_hu, kernel):
    currents = [100, 150, 200, 300, 400, 500]
    fit = fit_kernel(make_pairs(slice_hu, kernel, 2 * PHOTONS_PER_MA, currents), currents, SPACING)
    assert fit.residual < 0.05
    # Cutoff, order and boost can stand in for each other, and all three for the constant; the noise power cannot.
    # Below 0.1 cycles/mm a region of 32 pixels holds little more than its own mean.
    frequency = torch.arange(0.1, 0.65, 0.05)

    def power(shape, photons):
        return shape.response(frequency).numpy() ** 2 / photons

    truth = power(KERNELS[kernel], 2 * PHOTONS_PER_MA)
    np.testing.assert_allclose(power(fit.kernel, fit.photons_per_ma), truth, atol=0.12 * truth.max())
    assert power(fit.kernel, fit.photons_per_ma).sum() == pytest.approx(truth.sum(), rel=0.05)


def test_wants_a_tube_current_for_each_pair_and_soft_tissue(slice_hu):
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        fit_kernel([(slice_hu, slice_hu)], [], SPACING)
    air = np.full((64, 64), -1000.0)
    with pytest.raises(ValueError, match="no slice has soft tissue"):
        fit_kernel([(air, air)], [200.0], SPACING)
