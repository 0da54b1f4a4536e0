# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The radial Wiener filter, the best linear filter without direction, as a reference."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from .inputs import as_slice, as_slices
from .regions import body_mask

__all__ = ["RadialWienerFilter"]


class RadialWienerFilter:
    """A linear filter with one gain per radial frequency, fitted on pairs of quarter and full dose.

    ``H(f) = Re<conj(Q) F> / <|Q|^2>`` is the gain that brings the quarter-dose spectrum Q closest to the full-dose
    spectrum F in the mean square. It uses two averages and no anatomy, so a network that does not surpass it has
    learned only the spectra. Each reconstruction kernel needs its own filter.

    The filter treats the full dose's own noise as part of the target. Where the quarter dose has the full dose's noise
    plus three times its variance, the filter keeps a quarter of the noise even where there is no anatomy.

    Args:
        gain: the gain at 0, 1/N, ..., N//2 / N cycles/pixel, ``(N // 2 + 1,)``.
        size: N, the window's side in pixels.

    Raises:
        ValueError: when there are not ``size // 2 + 1`` finite gains.

    Example::

        wiener = RadialWienerFilter.fit((quarter, full) for quarter, full in training_pairs)
        denoised = wiener(quarter_of_another_patient)
    """

    def __init__(self, gain: ArrayLike, size: int) -> None:
        self.gain = np.asarray(gain, dtype=np.float64)
        self.size = int(size)
        if self.gain.shape != (self.size // 2 + 1,) or not np.isfinite(self.gain).all():
            raise ValueError(f"gain must have {self.size // 2 + 1} finite values, got the shape {self.gain.shape}.")

    @classmethod
    def fit(
        cls, pairs: Iterable[tuple[ArrayLike, ArrayLike]], size: int = 64, body_fraction: float = 0.9
    ) -> RadialWienerFilter:
        """Fit the gains on windows inside the body.

        Windows overlap by half. Their mean is removed, and a Hann window tapers them, so that the jump between opposite
        sides does not count as detail.

        Args:
            pairs: quarter and full dose of each slice, ``(H, W)`` in HU, of one kernel and one fold.
            size: the window's side in pixels.
            body_fraction: the part of a window that must be body (full dose above -300 HU). The default leaves a tenth
                for skin and gas, whose edges also count in the RMSE.

        Returns:
            The filter. Its gain at 0 is 1: mean values pass unchanged.

        Raises:
            ValueError: when no window lies inside a body, and as
                :func:`noisewise.pipelines.low_dose_ct.inputs.as_slices`.
        """
        taper = np.hanning(size + 1)[:-1]
        taper = np.outer(taper, taper)
        cross, power = np.zeros((size, size)), np.zeros((size, size))
        windows = 0
        for quarter, full in pairs:
            quarter, full = as_slices(quarter=quarter, full=full)
            inside = _windows(body_mask(full), size).mean((-2, -1)) >= body_fraction
            q, f = (_spectra(_windows(image, size)[inside], taper) for image in (quarter, full))
            cross += (q.conj() * f).real.sum(0)
            power += (np.abs(q) ** 2).sum(0)
            windows += len(q)
        if windows == 0:
            raise ValueError(f"No window of {size} x {size} pixels lies inside a body.")

        rings = np.rint(_frequency((size, size)) * size).astype(int).ravel()
        cross, power = (np.bincount(rings, x.ravel())[: size // 2 + 1] for x in (cross, power))
        gain = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
        gain[0] = 1.0
        return cls(gain, size)

    def __call__(self, image: ArrayLike) -> np.ndarray:
        """Filter a slice.

        Args:
            image: ``(H, W)`` in HU, of the kernel that the filter was fitted on.

        Returns:
            ``(H, W)`` float64 in HU. The slice is extended by reflection. Frequencies beyond the Nyquist frequency of
            the axes, in the corners of the spectrum, have the gain of that frequency.

        Raises:
            ValueError: as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
        """
        image = as_slice("image", image)
        height, width = image.shape
        padded = np.pad(image, self.size // 2, mode="symmetric")
        gain = np.interp(_frequency(padded.shape) * self.size, np.arange(self.gain.size), self.gain)
        filtered = np.fft.ifft2(np.fft.fft2(padded) * gain).real
        start = self.size // 2
        return filtered[start : start + height, start : start + width]


def _windows(image: np.ndarray, size: int) -> np.ndarray:
    if min(image.shape) < size:
        return np.empty((0, 0, size, size), dtype=image.dtype)
    step = size // 2
    return sliding_window_view(image, (size, size))[::step, ::step]


def _spectra(windows: np.ndarray, taper: np.ndarray) -> np.ndarray:
    return np.fft.fft2((windows - windows.mean((-2, -1), keepdims=True)) * taper)


def _frequency(shape: tuple[int, int]) -> np.ndarray:
    """Radial frequency in cycles/pixel, in the order of ``np.fft.fft2``."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
