# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of CT slices that all measures share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["as_slice", "as_slices"]


def as_slice(name: str, image: ArrayLike) -> np.ndarray:
    """Check one CT slice.

    Args:
        name: the argument's name, for the message.
        image: ``(H, W)`` of any real type, in HU.

    Returns:
        A copy in float64, so that integer slices can be subtracted without wrapping around.

    Raises:
        ValueError: when the array is not two-dimensional, is empty, or holds NaN or infinity.
    """
    array = np.asarray(image)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be one slice, (H, W), got the shape {array.shape}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must have finite values only.")
    return array


def as_slices(**images: ArrayLike) -> tuple[np.ndarray, ...]:
    """Check CT slices that must have the same pixels.

    Args:
        **images: the slices, ``(H, W)`` in HU, by their names in error messages.

    Returns:
        Copies in float64, in the order given.

    Raises:
        ValueError: as :func:`as_slice`, and when the shapes differ.
    """
    arrays = tuple(as_slice(name, image) for name, image in images.items())
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(images, arrays))
        raise ValueError(f"The slices must have one shape, got {shapes}.")
    return arrays
