# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The values that stand for black and white: one rule for files and arrays, one range for a whole series.

1. A range that is stated wins.
2. Then comes what the file, the dtype or the metadata say: 8 bits are 0 to 255, CT is -1000 to 1000 HU.
3. Otherwise the values decide, see :func:`~noisewise.transforms.intensity.find_intensity_range`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...transforms.intensity import FoundRange, find_intensity_range, is_about_unit, negative_cause, negative_share
from ..formats.stack import FormatError, ImageStack
from .models import is_ct_model

__all__ = ["ARRAY_OPTIONS", "COMMAND_OPTIONS", "RangeOptions", "find_stack_range", "stack_range", "stored_limits"]

# Larger stacks are sampled at regular steps: as float32, this many values take 128 MiB.
LARGEST_SAMPLE = 2**25
EIGHT_BITS = (0, 255)


class RangeOptions(NamedTuple):
    """How a user states a range, for messages.

    Attributes:
        ct: states Hounsfield units.
        stated: states any range.
    """

    ct: str
    stated: str


COMMAND_OPTIONS = RangeOptions("pass --modality ct", "--intensity-range LOW HIGH")
ARRAY_OPTIONS = RangeOptions("pass intensity_range=(-1000, 1000)", "intensity_range=(low, high)")


def stack_range(
    stack: ImageStack, modality: str | None = None, stated: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """The real values that map to 0 and 1, found from all slices.

    Args:
        stack: the slices of the files. Frozen pixels are left out.
        modality: ``"ct"`` for Hounsfield units; None takes the stack's own.
        stated: the range, if the user states it.

    Returns:
        ``(low, high)``; None for an image without contrast, which has no noise to remove.

    Raises:
        FormatError: if the rule gives no range, or more than a tenth of the pixels lie clearly below it.
    """
    found = find_stack_range(stack, modality, stated)
    return None if found is None else (found.low, found.high)


def find_stack_range(
    stack: ImageStack,
    modality: str | None = None,
    stated: tuple[float, float] | None = None,
    model: str = "",
    options: RangeOptions = COMMAND_OPTIONS,
) -> FoundRange | None:
    """The real values that map to 0 and 1, and whether that was a guess.

    Args:
        stack: the slices of files or an array. Frozen pixels are left out.
        modality: ``"ct"`` for Hounsfield units; None takes the stack's own.
        stated: the range, if the user states it.
        model: the name of the model. Images of unknown modality are CT for the CT model, unless they are in [0, 1].
        options: what error messages advise.

    Returns:
        The range; None for an image without contrast, which has no noise to remove.

    Raises:
        FormatError: see :func:`stack_range`.
    """
    if _is_constant(stack.slices):
        return None
    if stated is not None:
        return FoundRange(*stated)
    modality = modality or stack.modality
    trivial = np.all(np.equal(stack.slope, 1)) and np.all(np.equal(stack.intercept, 0))
    if trivial and (stack.eight_bit or stack.stored_range == EIGHT_BITS):
        return find_intensity_range(stack.slices, "uint8")
    values = _sample(stack)
    if not values.size:
        return None
    if modality is None and is_ct_model(model) and not is_about_unit(values):
        modality = "ct"
    try:
        found = find_intensity_range(values, values.dtype.name, modality, may_be_gray_levels=bool(trivial))
    except ValueError as error:
        raise FormatError(stack.name, str(error)) from error
    if (modality or "").lower() != "ct":
        share = negative_share((values - found.low) / (found.high - found.low))
        cause = negative_cause(share, f"{options.ct}; otherwise {options.stated} states the range")
        if cause is not None:
            raise FormatError(stack.name, cause)
    return found


def stored_limits(stack: ImageStack, real_range: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The stored values that stand for black and white.

    Args:
        stack: the slices of the files; if it is ``inverted``, black is the high value.
        real_range: from :func:`stack_range`.

    Returns:
        Two numbers, or two arrays ``(N,)`` if the slices differ in slope or intercept.
    """
    black, white = reversed(real_range) if stack.inverted else real_range
    slope, intercept = (np.asarray(value, np.float64) for value in (stack.slope, stack.intercept))
    return (black - intercept) / slope, (white - intercept) / slope


def _is_constant(slices: np.ndarray) -> bool:
    return all(bool((each == slices.flat[0]).all()) for each in slices)


def _sample(stack: ImageStack) -> np.ndarray:
    """The real values of a stack, slice by slice."""
    step = -(-stack.slices.size // LARGEST_SAMPLE)
    parts = []
    for index in range(len(stack.slices)):
        values = stack.real(index)
        if stack.frozen is not None:
            values = values[~stack.frozen[index]]
        parts.append(values.reshape(-1)[index % step :: step])
    return np.concatenate(parts)
