# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise fields whose neighboring pixels correlate, as scanners and their software make them.

Every function returns a field of zero mean and unit variance (on average over the pixels), so that it can be scaled to
any level. Most shape white noise by a frequency response. The field is drawn larger than the image and cropped, so that
opposite borders do not correlate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import fft
from scipy.signal import windows
from torch.nn import functional

__all__ = ["COLORS", "NoiseColor", "unit_noise"]

MARGIN = 12
"""Pixels drawn beyond each border: more than the longest correlation that the random transforms draw."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NoiseColor:
    """How noise correlates between pixels: a name in :data:`COLORS` and its parameters.

    Attributes:
        kind: ``"white"``, or another name in :data:`COLORS`.
        rows: extent along the rows axis; the meaning is that of the kind.
        columns: extent along the columns axis.
        angle: rotation of an anisotropic Gaussian kernel, in radians.
        white: the share of the variance that stays white, in [0, 1], as the electronic noise behind a detector does.
        order: of ``"resampled"``, 1 for linear and 3 for cubic interpolation.

    Raises:
        ValueError: if the kind is unknown or a number is out of range.
    """

    kind: str = "white"
    rows: float = 1.0
    columns: float = 1.0
    angle: float = 0.0
    white: float = 0.0
    order: int = 1

    def __post_init__(self) -> None:
        if self.kind not in COLORS:
            raise ValueError(f"the color of noise must be one of {sorted(COLORS)}, got {self.kind!r}.")
        if not 0 <= self.white <= 1:
            raise ValueError(f"white must be a share in [0, 1], got {self.white!r}.")
        low, high = LIMITS[self.kind]
        for name, value in (("rows", self.rows), ("columns", self.columns)):
            if not low <= value <= high:
                raise ValueError(f"{name} of {self.kind!r} noise must lie in [{low:g}, {high:g}], got {value!r}.")
        if self.order not in (1, 3):
            raise ValueError(f"order must be 1 (linear) or 3 (cubic), got {self.order!r}.")


def unit_noise(shape: Sequence[int], color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """Draw a noise field of unit variance.

    Args:
        shape: ``(C, H, W)``; the channels are independent of each other.
        color: how pixels correlate.
        state: the generator.

    Returns:
        A float32 array of that shape.
    """
    shape = tuple(shape)
    field = COLORS[color.kind](shape, color, state)
    if color.white > 0 and color.kind != "white":
        field = np.sqrt(1 - color.white) * field + np.sqrt(color.white) * _white(shape, state)
    return field.astype(np.float32, copy=False)


def _white(shape: Shape, state: np.random.RandomState) -> np.ndarray:
    return state.standard_normal(shape).astype(np.float32)


def _shaped(shape: Shape, response: Callable[[np.ndarray, np.ndarray], np.ndarray], state: np.random.RandomState):
    """White noise through a real frequency response of (rows, columns) frequencies in cycles per pixel."""
    rows, columns = (fft.next_fast_len(side + 2 * MARGIN, real=True) for side in shape[1:])
    white = _white((shape[0], rows, columns), state)
    gain = response(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :]).astype(np.float32)
    weights = np.full(gain.shape[1], 2.0)
    weights[0] = 1.0
    if columns % 2 == 0:
        weights[-1] = 1.0
    gain /= np.sqrt(np.sum(np.square(gain) * weights) / (rows * columns))
    field = fft.irfft2(fft.rfft2(white) * gain, s=(rows, columns))
    return field[:, MARGIN : MARGIN + shape[1], MARGIN : MARGIN + shape[2]]


def _gaussian(shape: Shape, color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """A Gaussian kernel; ``rows`` and ``columns`` are its standard deviations in pixels before it is rotated."""
    sine, cosine = np.sin(color.angle), np.cos(color.angle)

    def response(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        along, across = cosine * rows + sine * columns, cosine * columns - sine * rows
        return np.exp(-2 * np.pi**2 * (np.square(color.rows * along) + np.square(color.columns * across)))

    return _shaped(shape, response, state)


def _kspace(shape: Shape, color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """A band of k-space, zero-filled; ``rows`` and ``columns`` are the measured shares, ``angle`` the Tukey taper."""
    taper = min(abs(color.angle), 1.0)

    def window(frequencies: np.ndarray, share: float) -> np.ndarray:
        position = np.abs(frequencies) / (0.5 * share)
        table = windows.tukey(513, taper)[256:]
        return np.interp(position, np.linspace(0, 1, 257), table, right=0.0)

    return _shaped(shape, lambda rows, columns: window(rows, color.rows) * window(columns, color.columns), state)


def _detector(shape: Shape, color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """A detector's transfer function ``1 / (1 + (f / f0)^2)``; ``rows`` and ``columns`` are f0 in cycles per pixel."""

    def response(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.square(rows / color.rows) + np.square(columns / color.columns))

    return _shaped(shape, response, state)


def _resampled(shape: Shape, color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """White noise of a coarser grid, interpolated; ``rows`` and ``columns`` are the factors of enlargement."""
    coarse = [int(np.ceil(side / factor)) + 4 for side, factor in zip(shape[1:], (color.rows, color.columns))]
    white = torch.from_numpy(_white((shape[0], *coarse), state))[None]
    mode = "bilinear" if color.order == 1 else "bicubic"
    field = functional.interpolate(
        white, scale_factor=(color.rows, color.columns), mode=mode, align_corners=False, recompute_scale_factor=False
    )[0].numpy()
    top, left = (state.randint(0, found - side + 1) for found, side in zip(field.shape[1:], shape[1:]))
    field = field[:, top : top + shape[1], left : left + shape[2]]
    power = _kernel_power(color.rows, color.order) * _kernel_power(color.columns, color.order)
    return field / np.float32(np.sqrt(power))


def _kernel_power(factor: float, order: int) -> float:
    """The variance of unit white noise after interpolation along one axis, averaged over the positions."""
    offsets = (np.arange(256) + 0.5) / factor - 0.5
    offsets -= np.floor(offsets)
    if order == 1:
        taps = np.stack([1 - offsets, offsets])
    else:  # Keys' kernel with a = -0.75, as PyTorch has it
        a, t = -0.75, offsets

        def near(d: np.ndarray) -> np.ndarray:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1

        def far(d: np.ndarray) -> np.ndarray:
            return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

        taps = np.stack([far(1 + t), near(t), near(1 - t), far(2 - t)])
    return float(np.mean(np.sum(np.square(taps), 0)))


def _lines(shape: Shape, color: NoiseColor, state: np.random.RandomState) -> np.ndarray:
    """Offsets of whole rows and columns; ``rows`` and ``columns`` weigh the two."""
    weights = np.array([color.rows, color.columns]) / max(np.hypot(color.rows, color.columns), 1e-6)
    rows = _white((shape[0], shape[1], 1), state)
    columns = _white((shape[0], 1, shape[2]), state)
    return weights[0] * rows + weights[1] * columns


COLORS: dict[str, Callable[..., np.ndarray]] = {
    "white": lambda shape, color, state: _white(shape, state),
    "gaussian": _gaussian,
    "resampled": _resampled,
    "kspace": _kspace,
    "detector": _detector,
    "lines": _lines,
}
"""How noise can correlate, by name. Each maps (shape, color, generator) to a field of unit variance."""

LIMITS: dict[str, tuple[float, float]] = {
    "white": (0.0, np.inf),
    "gaussian": (0.0, 3.0),
    "resampled": (1.0, 4.0),
    "kspace": (0.2, 1.0),
    "detector": (0.05, np.inf),
    "lines": (0.0, np.inf),
}
