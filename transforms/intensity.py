# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The linear rule that maps each modality's intensities to [0, 1] and back.

The rule is fixed once for an image or a series, never per slice. What is stated wins: 8-bit data are 0..255, CT is
-1000..1000 HU. Otherwise the values decide: floats about [0, 1] stay as they are, whole numbers in 0..255 are gray
levels, and all other data are 0 to the 99.9th percentile. Nothing is clipped.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from monai.config import NdarrayOrTensor

__all__ = [
    "CT_RANGE",
    "EIGHT_BIT_RANGE",
    "GRAY_LEVELS",
    "FoundRange",
    "IntensityRangeWarning",
    "find_intensity_range",
    "guess_in_words",
    "intensity_range",
    "is_about_unit",
    "negative_cause",
    "negative_share",
    "warn_of_guess",
]

CT_RANGE = (-1000.0, 1000.0)
EIGHT_BIT_RANGE = (0.0, 255.0)
UNIT_RANGE = (0.0, 1.0)
UPPER_PERCENTILE = 99.9
GRAY_LEVELS = "8-bit gray levels"
# Floats are taken for [0, 1] if all but half a percent of them at either end lie in this range. Noise of sigma 75 on
# black and white stays within it: 2.6 standard deviations are 0.76.
UNIT_PERCENTILES = (0.5, 99.5)
UNIT_LIMITS = (-1.0, 2.0)
# Noise on black has its median at black; images in [-1, 1] are mostly far below.
LOWEST_UNIT_MEDIAN = -0.05
# Whole numbers in 0..255 are gray levels if the largest is at least this. Counts that end below would be almost black.
SMALLEST_GRAY_MAXIMUM = 64
# An image with more than this share of its pixels below this value (in units of its range) was mapped wrongly;
# resampled MRI has a little below zero, CT in Hounsfield units nearly all.
LARGEST_NEGATIVE_SHARE = 0.1
CLEARLY_NEGATIVE = -0.05
# Negative values that are noise on black fall off like the half of a Gaussian, whose 90th and 99th percentiles are 2.4
# and 3.8 times its median, or on dark gray like its tail, up to 3.3 and 6.6 times. Air and fat in CT do not.
NOISE_TAIL = {90.0: (2.0, 3.6), 99.0: (3.0, 7.0)}

_warned: set[tuple[str, str]] = set()


class IntensityRangeWarning(UserWarning):
    """The intensity range of an image was guessed from its values."""


class FoundRange(NamedTuple):
    """The intensities that map to 0 and 1.

    Attributes:
        low: maps to 0.
        high: maps to 1.
        guess: what the values were taken for, if nothing but the values decided; else ``""``.
    """

    low: float
    high: float
    guess: str = ""


def find_intensity_range(
    image: NdarrayOrTensor, stored_dtype: str, modality: str | None = None, may_be_gray_levels: bool = True
) -> FoundRange:
    """Find the intensities that map to 0 and 1, and say whether that was a guess.

    Args:
        image: the image or the whole series, in its own unit (CT: HU).
        stored_dtype: dtype on file, such as ``"uint8"`` or ``"int16"``; of an array its own.
        modality: ``"ct"`` for computed tomography in HU; any other name or None otherwise.
        may_be_gray_levels: False if the file gives its numbers another meaning, as a rescale slope does.

    Returns:
        The range, with ``low < high``.

    Raises:
        ValueError: if the image is empty or holds NaN, or if its 99.9th percentile is not above 0, so that the rule
            gives no range.
    """
    if stored_dtype in ("uint8", "bool"):
        return FoundRange(*EIGHT_BIT_RANGE)
    if modality is not None and modality.lower() == "ct":
        return FoundRange(*CT_RANGE)
    values = _as_array(image)
    if not values.size:
        raise ValueError("the image is empty.")
    if is_about_unit(values):
        return FoundRange(*UNIT_RANGE)
    if may_be_gray_levels and _are_gray_levels(values):
        return FoundRange(*EIGHT_BIT_RANGE, GRAY_LEVELS)
    high = float(np.percentile(values, UPPER_PERCENTILE))
    if not np.isfinite(high):
        raise ValueError("the image holds NaN or infinite values.")
    if high <= 0:
        raise ValueError(
            f"the 99.9th percentile of the intensities is {high:g}: the rule 0..percentile gives no range; "
            "state the intensity range."
        )
    return FoundRange(0.0, high, "0 to their 99.9th percentile")


def intensity_range(image: NdarrayOrTensor, stored_dtype: str, modality: str | None = None) -> tuple[float, float]:
    """Find the intensities that map to 0 and 1.

    Args:
        image: the image or the whole series, in its own unit (CT: HU).
        stored_dtype: dtype on file, such as ``"uint8"`` or ``"int16"``.
        modality: ``"ct"`` for computed tomography in HU; any other name or None otherwise.

    Returns:
        ``(low, high)`` with ``low < high``.

    Raises:
        ValueError: see :func:`find_intensity_range`.
    """
    found = find_intensity_range(image, stored_dtype, modality)
    return found.low, found.high


def warn_of_guess(found: FoundRange, option: str) -> None:
    """Warn that a range was guessed, once in a process for each kind of guess.

    Args:
        found: from :func:`find_intensity_range`; there is no warning if it was no guess.
        option: the option that states the range, such as ``"intensity_range=(low, high)"``.
    """
    if found.guess and (found.guess, option) not in _warned:
        _warned.add((found.guess, option))
        warnings.warn(guess_in_words(found, option), IntensityRangeWarning, stacklevel=2)


def guess_in_words(found: FoundRange, option: str) -> str:
    """A sentence about a guessed range and the option that states it."""
    return (
        f"the values are taken for {found.guess}: {found.low:g} is black and {found.high:g} is white; {option} states "
        "another range."
    )


def is_about_unit(image: NdarrayOrTensor) -> bool:
    """Whether values are those of an image in [0, 1], noise outside included.

    Args:
        image: values of any shape.

    Returns:
        True for floats that are not just whole numbers, and lie in about [0, 1] by robust percentiles.
    """
    values = _as_array(image)
    if values.dtype.kind != "f" or not values.size or (values.max() != UNIT_RANGE[1] and _are_whole(values)):
        return False
    low, high = np.percentile(values, UNIT_PERCENTILES)
    return bool(UNIT_LIMITS[0] < low and high < UNIT_LIMITS[1] and np.median(values) > LOWEST_UNIT_MEDIAN)


def negative_share(unit: NdarrayOrTensor) -> float:
    """The share of clearly negative pixels.

    Args:
        unit: an image in units of its intensity range.

    Returns:
        A number in [0, 1]; 0 if the negative values are floats that are spread like noise around 0.
    """
    values = torch.as_tensor(unit)
    share = float((values < CLEARLY_NEGATIVE).float().mean())
    return 0.0 if share > LARGEST_NEGATIVE_SHARE and _is_noise_around_black(_as_array(values)) else share


def negative_cause(share: float, remedy: str = "pass --modality ct") -> str | None:
    """Why an image with so many clearly negative pixels cannot be denoised.

    Args:
        share: as :func:`negative_share` gives it.
        remedy: the option that states Hounsfield units.

    Returns:
        The cause, or None when there is none.
    """
    if share <= LARGEST_NEGATIVE_SHARE:
        return None
    return (
        f"{share:.0%} of its intensities are negative, outside the range that is denoised; if they are Hounsfield "
        f"units, {remedy}; for other signed values, such as phase images, state the intensity range"
    )


def _as_array(image: NdarrayOrTensor) -> np.ndarray:
    return image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)


def _are_whole(values: np.ndarray) -> bool:
    return values.dtype.kind != "f" or bool((values == np.rint(values)).all())


def _are_gray_levels(values: np.ndarray) -> bool:
    low, high = EIGHT_BIT_RANGE
    return bool(low <= values.min() and SMALLEST_GRAY_MAXIMUM <= values.max() <= high) and _are_whole(values)


def _is_noise_around_black(unit: np.ndarray) -> bool:
    depth = -unit[unit < 0]
    middle = np.median(depth)
    ratios = {percentile: np.percentile(depth, percentile) / middle for percentile in NOISE_TAIL}
    return all(low < ratios[percentile] < high for percentile, (low, high) in NOISE_TAIL.items())
