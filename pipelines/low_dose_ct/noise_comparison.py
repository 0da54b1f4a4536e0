# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise that a lower dose adds to a slice, real and simulated, measured in the same places.

The real noise of a pair is its low dose minus its full dose, which cancels the anatomy and the full dose's own noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...transforms import LowDoseCT, line_integrals
from .inputs import as_slices
from .noise_power import NoisePowerSpectrum, noise_power_spectrum, residual_noise_std
from .regions import Region, flat_regions

__all__ = ["NoiseComparison", "anisotropy", "compare_noise", "noise_in_regions", "noise_regions"]

_REGION_PX, _REGION_COUNT = 32, 16


@dataclass(frozen=True)
class NoiseComparison:
    """Real and simulated noise of one slice, in the same regions.

    Attributes:
        regions: the number of flat regions in the slice; without any, measures are NaN and spectra None.
        real_std_hu: standard deviation of the real noise in HU.
        simulated_std_hu: that of the simulated noise.
        real: power spectrum of the real noise.
        simulated: that of the simulated noise.
        subject: the patient.
        kernel: the scanner's name of the kernel, such as ``"B30f"``.
        image_id: the slice's short name in its manifest.
        tube_current: in mA.
    """

    regions: int
    real_std_hu: float = math.nan
    simulated_std_hu: float = math.nan
    real: NoisePowerSpectrum | None = None
    simulated: NoisePowerSpectrum | None = None
    subject: str = ""
    kernel: str = ""
    image_id: str = ""
    tube_current: float = math.nan


def compare_noise(low: ArrayLike, full: ArrayLike, simulation: LowDoseCT, **labels: str | float) -> NoiseComparison:
    """Measure the real noise of a pair, and the noise that a simulation adds to its full dose.

    Args:
        low: the low-dose slice, ``(H, W)`` in HU.
        full: the full-dose slice.
        simulation: simulates the low dose from the full dose, with the slice's kernel and exposure.
        labels: further fields of the comparison.

    Returns:
        The comparison.

    Raises:
        ValueError: when the shapes differ, or the slices are not finite and in HU.
    """
    low, full = as_slices(low=low, full=full)
    regions = noise_regions(full)
    if not regions:
        return NoiseComparison(regions=0, **labels)
    noises = low - full, noise_in_regions(full, simulation, regions)
    return NoiseComparison(
        len(regions),
        *(residual_noise_std(noise, regions) for noise in noises),
        *(noise_power_spectrum(noise, regions, simulation.pixel_mm, window="hann") for noise in noises),
        **labels,
    )


def noise_regions(full: np.ndarray) -> list[Region]:
    """Find the regions to compare noise in: soft tissue of the full-dose slice ``(H, W)``, not necessarily flat."""
    return flat_regions(full, _REGION_PX, _REGION_COUNT, structure_limit_hu=math.inf)


def noise_in_regions(full: np.ndarray, simulation: LowDoseCT, regions: Sequence[Region]) -> np.ndarray:
    """Simulate the added noise of a slice in some regions.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        simulation: the simulation of the low dose.
        regions: rows and columns of the regions.

    Returns:
        ``(H, W)`` in HU; 0 outside the rectangle around all regions, to save time.
    """
    image = torch.from_numpy(full).float()
    rows, columns = (
        slice(min(region[axis].start for region in regions), max(region[axis].stop for region in regions))
        for axis in (0, 1)
    )
    noise = np.zeros(full.shape)
    integrals = line_integrals(image, simulation.pixel_mm)
    noise[rows, columns] = simulation.noise(integrals, image.shape, rows, columns).numpy()
    return noise


def anisotropy(spectrum: NoisePowerSpectrum) -> float:
    """Compute the ratio of the power of frequencies along rows to that along columns.

    Above 1, the noise has vertical streaks. Frequencies up to 22.5 degrees off either axis count.
    """
    axis = np.abs(np.fft.fftfreq(len(spectrum.power)))
    along, across = axis[None, :], axis[:, None]
    slope = np.tan(np.pi / 8)
    horizontal = (across <= slope * along) & (along > 0)
    return float(spectrum.power[horizontal].sum() / spectrum.power[horizontal.T].sum())
