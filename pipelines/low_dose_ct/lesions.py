# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Low-contrast lesions for insertion into slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_slice

__all__ = ["cut_around", "disk_signal", "gaussian_transfer", "insert_signal"]

_SUBPIXELS = 8


def disk_signal(
    contrast_hu: float,
    diameter_mm: float,
    size: int,
    spacing_mm: float = 0.7,
    transfer: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Simulate the scanner's image of a disk.

    Args:
        contrast_hu: HU of the disk above its background; negative for a dark disk.
        diameter_mm: the disk's diameter.
        size: side of the square in pixels, odd, so that the disk has a middle pixel.
        spacing_mm: pixel spacing.
        transfer: gain at frequencies in cycles/mm, the system's transfer function, such as :func:`gaussian_transfer` or
            ``lambda f: np.interp(f, response.frequency, response.transfer)`` of an
            :class:`noisewise.pipelines.low_dose_ct.EdgeResponse`. None keeps the edge as sharp as the pixels.

    Returns:
        ``(size, size)`` in HU, 0 far from the disk.

    Raises:
        ValueError: when ``size`` is even, ``diameter_mm`` or ``spacing_mm`` is not positive, or the disk does not fit.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size must be odd, got {size}.")
    if not (spacing_mm > 0 and 0 < diameter_mm <= size * spacing_mm):
        raise ValueError(
            f"A disk needs a diameter above 0 and up to the square's side, got {diameter_mm} mm in {size} pixels of "
            f"{spacing_mm} mm."
        )
    # Each pixel is the mean over its area; a margin prevents the blurred edge from wrapping around.
    side = 3 * size
    axis = ((np.arange(side * _SUBPIXELS) + 0.5) / _SUBPIXELS - side / 2) * spacing_mm
    disk = np.hypot(axis[:, None], axis[None, :]) <= diameter_mm / 2
    signal = disk.reshape(side, _SUBPIXELS, side, _SUBPIXELS).mean((1, 3)) * float(contrast_hu)
    if transfer is not None:
        frequency = np.fft.fftfreq(side, spacing_mm)
        gain = transfer(np.hypot(frequency[:, None], frequency[None, :]))
        signal = np.fft.ifft2(np.fft.fft2(signal) * gain).real
    return signal[size : 2 * size, size : 2 * size]


def gaussian_transfer(sigma_mm: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the transfer function of a Gaussian blur, for :func:`disk_signal`.

    Args:
        sigma_mm: standard deviation of the Gaussian.

    Returns:
        The function from cycles/mm to the gain, ``exp(-2 (pi sigma f)^2)``.
    """
    return lambda frequency: np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2)


def insert_signal(image: ArrayLike, signal: ArrayLike, positions: Iterable[tuple[int, int]]) -> np.ndarray:
    """Add a lesion to a noisy slice at each of the positions.

    The lesion is added without changing the noise. This is a good approximation for low contrast, which changes the
    attenuation by a percent and the noise by less. Denoise the slices with and without lesions, then compare their
    squares.

    Args:
        image: ``(H, W)`` in HU.
        signal: ``(N, N)`` in HU with N odd, as from :func:`disk_signal`.
        positions: row and column of the lesion's middle pixel, such as the middle of a region of
            :func:`noisewise.pipelines.low_dose_ct.flat_regions`.

    Returns:
        ``(H, W)`` float64: a new slice. Lesions that overlap add up.

    Raises:
        ValueError: when the signal has an even side or would leave the slice.
    """
    image, signal = as_slice("image", image), as_slice("signal", signal)
    if signal.shape[0] % 2 == 0 or signal.shape[1] % 2 == 0:
        raise ValueError(f"signal must have odd sides, got the shape {signal.shape}.")
    for position in positions:
        image[_around(position, signal.shape, image.shape)] += signal
    return image


def cut_around(image: ArrayLike, positions: Iterable[tuple[int, int]], size: int) -> np.ndarray:
    """Cut out the squares that an observer examines.

    Args:
        image: ``(H, W)`` in HU, with or without lesions.
        positions: row and column of each square's middle pixel, as in :func:`insert_signal`.
        size: side of the squares in pixels, odd.

    Returns:
        ``(count, size, size)`` float64.

    Raises:
        ValueError: when ``size`` is even, there are no positions, or a square would leave the slice.
    """
    image = as_slice("image", image)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size must be odd, got {size}.")
    return np.stack([image[_around(position, (size, size), image.shape)] for position in positions])


def _around(position: tuple[int, int], sides: tuple[int, int], shape: tuple[int, int]) -> tuple[slice, ...]:
    """Rows and columns of the rectangle around a pixel."""
    starts = [middle - side // 2 for middle, side in zip(position, sides)]
    ends = [start + side for start, side in zip(starts, sides)]
    if min(starts) < 0 or any(end > length for end, length in zip(ends, shape)):
        raise ValueError(f"{sides} pixels around {position} would leave the slice of the shape {shape}.")
    return tuple(slice(start, end) for start, end in zip(starts, ends))
