# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The reconstruction kernel and the exposure of a scanner, fitted to the noise of real pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from ...transforms import PHOTONS_PER_MA, LowDoseCT, ReconstructionKernel
from .inputs import as_slices
from .noise_comparison import noise_in_regions, noise_regions
from .noise_power import noise_power_spectrum

__all__ = ["KernelFit", "fit_kernel"]

# A kernel so wide that it passes all frequencies of an image, which leaves the noise of the ramp filter.
_ALL_PASS = 1e6


@dataclass(frozen=True)
class KernelFit:
    """The parameters that make simulated noise equal the real one.

    Attributes:
        kernel: the reconstruction kernel.
        photons_per_ma: the exposure constant, in place of :data:`~noisewise.transforms.PHOTONS_PER_MA`.
        residual: root mean square deviation of the kernel from the measured one, relative to its mean.
        frequency: the frequencies of the measurement, in cycles/mm.
        measured: the measured kernel at these frequencies, scaled to 1 at frequency 0 by the fit.
    """

    kernel: ReconstructionKernel
    photons_per_ma: float
    residual: float
    frequency: np.ndarray
    measured: np.ndarray


def fit_kernel(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    tube_currents: Sequence[float],
    spacing_mm: float = 0.7,
    dose: float = 0.25,
    electronic: float = 5.0,
    modulation: float = 0.5,
    seed: int = 0,
) -> KernelFit:
    """Fit ``cutoff``, ``order`` and ``boost`` of a kernel, and the number of photons per tube current.

    Noise is simulated without a kernel. The square root of the ratio of the two radial noise power spectra, real to
    simulated, is the kernel times a constant that depends on the exposure. All slices count the same, regardless of
    their noise. The four parameters can partly compensate each other: compare fits by the resulting noise power, not by
    single parameters.

    Args:
        pairs: low and full dose of each slice, ``(H, W)`` in HU, all of one scanner and kernel.
        tube_currents: the tube current of each pair, in mA.
        spacing_mm: side of a pixel.
        dose: the low dose as a fraction of the full one.
        electronic: see :func:`~noisewise.transforms.low_dose_noise`.
        modulation: see :func:`~noisewise.transforms.low_dose_noise`.
        seed: the first slice's seed.

    Returns:
        The fit.

    Raises:
        ValueError: when there are not as many tube currents as pairs, no slice has soft tissue to measure in, or as
            :func:`noisewise.pipelines.low_dose_ct.inputs.as_slices`.
    """
    real, white = 0.0, 0.0
    frequency = None
    for number, ((low, full), current) in enumerate(zip(pairs, tube_currents, strict=True)):
        low, full = as_slices(low=low, full=full)
        regions = noise_regions(full)
        if not regions:
            continue
        simulation = LowDoseCT(
            dose, current * PHOTONS_PER_MA, "soft", _ALL_PASS, seed + number, spacing_mm, electronic, modulation
        )
        noises = low - full, noise_in_regions(full, simulation, regions)
        spectra = [noise_power_spectrum(noise, regions, spacing_mm, window="hann") for noise in noises]
        frequency = spectra[0].radial()[0]
        real, white = (
            total + spectrum.radial()[1] / spectra[1].variance for total, spectrum in zip((real, white), spectra)
        )
    if frequency is None:
        raise ValueError("no slice has soft tissue in which noise could be measured.")
    return _fit(frequency, np.sqrt(real / white))


def _fit(frequency: np.ndarray, measured: np.ndarray) -> KernelFit:
    def model(parameters: np.ndarray) -> np.ndarray:
        cutoff, order, boost, scale = parameters
        response = ReconstructionKernel(cutoff, order, boost).response(torch.from_numpy(frequency))
        return scale * response.numpy()

    mean = measured.mean()
    fit = least_squares(
        lambda parameters: (model(parameters) - measured) / mean,
        x0=[0.6, 2.0, 0.5, measured[0]],
        x_scale=[0.5, 1.0, 1.0, measured[0]],
        bounds=([0.05, 1.0, 0.0, 0.0], [5.0, 8.0, 10.0, np.inf]),
    )
    cutoff, order, boost, scale = (float(value) for value in fit.x)
    return KernelFit(
        kernel=ReconstructionKernel(cutoff, order, boost),
        photons_per_ma=PHOTONS_PER_MA / scale**2,
        residual=float(np.sqrt(np.mean(fit.fun**2))),
        frequency=frequency,
        measured=measured / scale,
    )
