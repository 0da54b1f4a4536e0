# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise of CT slices: its power spectrum, its standard deviation and its texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_slice

__all__ = ["NoisePowerSpectrum", "noise_power_spectrum", "remove_trend", "residual_noise_std"]


@dataclass(frozen=True)
class NoisePowerSpectrum:
    """A noise power spectrum in two dimensions.

    Attributes:
        power: ``(N, N)`` in HU^2 mm^2, the zero frequency first, as ``np.fft.fft2`` orders it.
        spacing_mm: the pixel spacing of the measurement.
    """

    power: np.ndarray
    spacing_mm: float

    @property
    def frequency(self) -> np.ndarray:
        """Distance of every element of ``power`` from the zero frequency, ``(N, N)`` in cycles/mm."""
        axis = np.fft.fftfreq(len(self.power), self.spacing_mm)
        return np.hypot(axis[:, None], axis[None, :])

    @property
    def variance(self) -> float:
        """The integral over all frequencies: the noise variance in HU^2."""
        return float(self.power.sum() / (len(self.power) * self.spacing_mm) ** 2)

    def radial(self) -> tuple[np.ndarray, np.ndarray]:
        """Average over the directions.

        Returns:
            ``(frequency, power)``: the middles of rings one frequency step wide in cycles/mm, from the first step up to
            the Nyquist frequency, and the mean power in each in HU^2 mm^2. The zero frequency, which is
            removed with the trend, belongs to no ring.
        """
        rings = np.rint(self.frequency * len(self.power) * self.spacing_mm).astype(int).ravel()
        last = len(self.power) // 2
        pixels = np.bincount(rings)[1 : last + 1]
        power = np.bincount(rings, self.power.ravel())[1 : last + 1] / pixels
        return np.arange(1, last + 1) / (len(self.power) * self.spacing_mm), power

    @property
    def peak_frequency(self) -> float:
        """The frequency of the largest radial average, in cycles/mm."""
        frequency, power = self.radial()
        return float(frequency[np.argmax(power)])

    @property
    def mean_frequency(self) -> float:
        """The mean frequency, weighted by the radial average, in cycles/mm: a measure of the noise texture."""
        frequency, power = self.radial()
        return float((frequency * power).sum() / power.sum())


def noise_power_spectrum(
    image: ArrayLike,
    regions: Sequence[tuple[slice, slice]],
    spacing_mm: float = 1.0,
    window: Literal["none", "hann"] = "none",
) -> NoisePowerSpectrum:
    """Measure the noise power spectrum over an ensemble of regions.

    As defined by ICRU Report 87 (2012) and AAPM TG-233 (2019): ``dx dy / (Nx Ny) <|DFT(region - trend)|^2>``, where
    the trend is a second-order polynomial fitted to each region, and the mean is over the regions. By default there is
    no window, as in these standards, and the integral is exactly the pixel variance. A Hann window, whose power is
    divided out, prevents residual anatomy at low frequencies from leaking into the high ones.

    Args:
        image: ``(H, W)`` in HU.
        regions: square regions of one size, as from :func:`noisewise.pipelines.low_dose_ct.flat_regions`.
        spacing_mm: pixel spacing; with 1, frequencies are in cycles/pixel and the power in HU^2 pixel^2.
        window: ``"none"`` or ``"hann"``.

    Returns:
        The spectrum. Removing the trend removes 6 of the N^2 degrees of freedom, all at the lowest frequencies.

    Raises:
        ValueError: when there is no region, regions are not square, of one size and inside the image, the window is
            unknown, or ``spacing_mm`` is not positive.
    """
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}.")
    noise = remove_trend(_cut(image, regions))
    if window == "hann":
        # A periodic window, because a symmetric one has one zero too many for the discrete transform.
        taper = np.hanning(noise.shape[-1] + 1)[:-1]
        taper = np.outer(taper, taper)
        noise = noise * taper / np.sqrt((taper**2).mean())
    elif window != "none":
        raise ValueError(f'window must be "none" or "hann", got {window!r}.')
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(0) * spacing_mm**2 / noise[0].size
    return NoisePowerSpectrum(power, float(spacing_mm))


def residual_noise_std(image: ArrayLike, regions: Sequence[tuple[slice, slice]]) -> float:
    """Measure the standard deviation of the noise in flat regions.

    Args:
        image: ``(H, W)`` in HU.
        regions: square regions of one size, as from :func:`noisewise.pipelines.low_dose_ct.flat_regions`.

    Returns:
        Square root of the mean variance around each region's second-order trend, in HU; equal to the square root of the
        integral of :func:`noise_power_spectrum`. Remaining structure in a region counts as noise.

    Raises:
        ValueError: when there is no region, or regions are not square, of one size and inside the image.
    """
    return float(np.sqrt((remove_trend(_cut(image, regions)) ** 2).mean()))


def remove_trend(regions: np.ndarray) -> np.ndarray:
    """Subtract the best-fitting second-order polynomial from each region.

    Args:
        regions: ``(..., N, N)``.

    Returns:
        The same shape in float64, each region with mean 0, without slope and curvature.
    """
    size = regions.shape[-1]
    axis = np.linspace(-1, 1, size)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(size * size, 6))
    flat = np.asarray(regions, dtype=np.float64).reshape(-1, size * size)
    return (flat - (flat @ basis) @ basis.T).reshape(regions.shape)


def _cut(image: ArrayLike, regions: Sequence[tuple[slice, slice]]) -> np.ndarray:
    """Stack the regions' pixels, ``(count, N, N)``."""
    image = as_slice("image", image)
    if len(regions) == 0:
        raise ValueError("Measuring noise needs at least one region.")
    cut = [image[region] for region in regions]
    sizes = {tuple(axis.stop - axis.start for axis in region) for region in regions} | {part.shape for part in cut}
    if len(sizes) > 1 or len(set(cut[0].shape)) > 1:
        raise ValueError(f"The regions must be square, of one size and inside the image, got {sorted(sizes)}.")
    return np.stack(cut)
