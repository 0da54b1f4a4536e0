# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``measure_noise``: everything that one image tells about its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .blocks import BLOCK, Blocks, cut_blocks
from .magnitude import has_rayleigh_background
from .noise_color import ColorMeasurement, measure_color
from .noise_curve import NoiseCurve, measure_curve

__all__ = ["NoiseMeasurement", "measure_noise"]

MOST_PLANES = 8
EIGHT_BIT_LEVELS = 256
SCATTERED = 0.09  # above 1 / 15: a straight border through a block
CLIPPED_BLOCKS = 0.03


@dataclass(frozen=True)
class NoiseMeasurement:
    """The noise of an image, in the unit of the image.

    Attributes:
        level: standard deviation of the noise; where it depends on the intensity, the root of the mean variance over
            the image.
        intensity_range: the values that count as black and white.
        curve: the standard deviation over intensity.
        color: correlation between neighboring pixels.
        magnitude: whether the dark background holds the noise of a magnitude image (Rician).
        at_lowest: share of pixels at the lowest value.
        at_highest: share of pixels at the highest value.
        clipped: whether noise was cut off there.
        eight_bit: whether there are no more than 256 different values.
    """

    level: float
    intensity_range: tuple[float, float]
    curve: NoiseCurve
    color: ColorMeasurement
    magnitude: bool
    at_lowest: float
    at_highest: float
    clipped: bool
    eight_bit: bool

    @property
    def suggested_weights(self) -> str:
        """``"colored"`` or ``"white"``: the noise that weights should have been trained on."""
        return "colored" if self.color.colored else "white"

    @property
    def gray_levels(self) -> float:
        """The level on the 0..255 scale."""
        low, high = self.intensity_range
        return 255 * self.level / (high - low)


def measure_noise(
    image: ArrayLike, intensity_range: tuple[float, float] | None = None, color: bool | None = None
) -> NoiseMeasurement:
    """Measure the noise of an image from the image alone.

    Blocks of 16 x 16 pixels that hold little structure are compared. Saturated and constant areas are left out. Images
    full of texture, such as ultrasound, hold no such block: there, texture counts as noise.

    Args:
        image: ``(H, W)``, ``(H, W, 3)``, a stack of slices ``(N, H, W)`` or ``(N, H, W, 3)``, integers or real
            numbers, at least 32 pixels a side. Of a stack, 8 slices are measured together.
        intensity_range: the values of black and white; by default 0..255 for uint8, and otherwise from the lowest value
            (0 if that is not far below) to the 99.9th percentile.
        color: whether a last axis of 3 holds colors; None takes it for colors. Each channel is measured.

    Returns:
        The measurement.

    Raises:
        ValueError: if the shape or dtype is wrong, values are NaN or infinite, or the image is constant.
    """
    array = np.asarray(image)
    planes = _planes(array, color)
    low, high = intensity_range or _default_range(array)
    if not high > low:
        raise ValueError(f"the intensity range must rise, got {low:g} to {high:g}.")
    unit = [((plane - low) / (high - low)).astype(np.float32) for plane in planes]
    blocks = cut_blocks(unit)
    varied = blocks[blocks.variance > (0.2 / 255) ** 2]
    measured = measure_color(varied)
    curve = measure_curve(varied, measured.colored)
    level = _mean_level(blocks, curve)
    lowest, highest = (_share_at(planes, extreme) for extreme in (np.min, np.max))
    return NoiseMeasurement(
        level=level * (high - low),
        intensity_range=(float(low), float(high)),
        curve=_in_unit(curve, low, high),
        color=measured,
        magnitude=has_rayleigh_background(varied, zero=-low / (high - low)),
        at_lowest=lowest,
        at_highest=highest,
        clipped=_is_clipped(blocks),
        eight_bit=array.dtype == np.uint8 or len(np.unique(planes[0])) <= EIGHT_BIT_LEVELS,
    )


def _planes(array: np.ndarray, color: bool | None) -> list[np.ndarray]:
    if array.dtype.kind not in "uif":
        raise ValueError(f"expected integers or real numbers, got {array.dtype}.")
    is_color = array.ndim >= 3 and array.shape[-1] == 3 if color is None else color
    if array.ndim - is_color not in (2, 3) or (is_color and array.shape[-1] != 3):
        raise ValueError(f"expected (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3), got shape {array.shape}.")
    slices = array if array.ndim - is_color == 3 else array[None]
    height, width = slices.shape[1:3]
    if min(height, width) < 2 * BLOCK or not len(slices):
        raise ValueError(f"noise is measured on at least {2 * BLOCK} pixels a side, got {height} x {width}.")
    chosen = slices[np.unique(np.linspace(0, len(slices) - 1, min(len(slices), MOST_PLANES)).round().astype(int))]
    if not np.isfinite(chosen).all():
        raise ValueError("the image holds NaN or infinite values.")
    if chosen.min() == chosen.max():
        raise ValueError("the image is constant: there is no noise to measure.")
    parts = np.moveaxis(chosen, -1, 1).reshape(-1, height, width) if is_color else chosen
    if is_color and (parts[0] == parts[1]).all() and (parts[0] == parts[2]).all():
        parts = parts[::3]  # a gray image saved in color
    return [part.astype(np.float64) for part in parts]


def _default_range(array: np.ndarray) -> tuple[float, float]:
    if array.dtype == np.uint8:
        return 0.0, 255.0
    high = float(np.percentile(array, 99.9))
    low = float(np.percentile(array, 0.1))
    if low >= 0 or -low < 0.5 * high:
        low = 0.0
    return (low, high) if high > low else (float(array.min()), float(array.max()))


def _mean_level(blocks: Blocks, curve: NoiseCurve) -> float:
    if not curve.std:
        return 0.0
    return float(np.sqrt(np.square(curve.std_at(blocks.mean)).mean()))


def _in_unit(curve: NoiseCurve, low: float, high: float) -> NoiseCurve:
    """The curve of an image in [0, 1] in the image's own unit; x stays the distance from black."""
    scale = high - low
    return NoiseCurve(
        intensity=tuple(low + scale * value for value in curve.intensity),
        std=tuple(scale * value for value in curve.std),
        constant=curve.constant * scale**2,
        linear=curve.linear * scale,
        quadratic=curve.quadratic,
    )


def _share_at(planes: Sequence[np.ndarray], extreme) -> float:
    return float(np.mean([(plane == extreme(plane)).mean() for plane in planes]))


def _is_clipped(blocks: Blocks) -> bool:
    """Whether the clipped pixels of many blocks are scattered, as noise scatters them."""
    return bool((blocks.scattered > SCATTERED).mean() > CLIPPED_BLOCKS)
