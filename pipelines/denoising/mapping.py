# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The values of a file that stand for black and white: the manifest's rule, one range for a whole series."""

from __future__ import annotations

import numpy as np

from ...transforms.intensity import intensity_range, negative_cause, negative_share
from ..formats.stack import FormatError, ImageStack

__all__ = ["stack_range", "stored_limits"]

# Larger stacks are sampled at regular steps: as float32, this many values take 128 MiB.
LARGEST_SAMPLE = 2**25


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
    if _is_constant(stack.slices):
        return None
    if stated is not None:
        return stated
    modality = modality or stack.modality
    trivial = np.all(np.equal(stack.slope, 1)) and np.all(np.equal(stack.intercept, 0))
    if stack.eight_bit and trivial:
        return intensity_range(stack.slices, "uint8")
    values = _sample(stack)
    if not values.size:
        return None
    try:
        low, high = intensity_range(values, values.dtype.name, modality)
    except ValueError as error:
        raise FormatError(stack.name, str(error)) from error
    if (modality or "").lower() != "ct":
        cause = negative_cause(negative_share((values - low) / (high - low)))
        if cause is not None:
            raise FormatError(stack.name, cause)
    return low, high


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
