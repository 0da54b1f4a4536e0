# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""NaN outside the object: these pixels are left as they are, and the others are denoised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .stack import FormatError, ImageStack

__all__ = ["keep_nan"]


def keep_nan(stack: ImageStack) -> ImageStack:
    """Freeze the pixels that are NaN, and let the result hold the same ones.

    In memory they take the lowest value of the image, since a network would spread NaN.

    Args:
        stack: the image that was read; its slices are changed.

    Returns:
        The image without NaN; the same one if it has none.

    Raises:
        FormatError: if all its pixels are NaN.
    """
    slices = stack.slices
    if slices.dtype.kind != "f":
        return stack
    # One slice at a time: a mask of a whole volume would cost a quarter of its memory.
    if not any(np.isnan(each).any() for each in slices):
        return stack
    nan = np.isnan(slices)
    if nan.all():
        raise FormatError(stack.name, "all its values are NaN.")
    hidden, stack_write = slices[nan], stack.write
    frozen = nan.any(axis=-1) if slices.ndim == 4 else nan
    slices[nan] = slices[~nan].min()

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        slices = slices.copy()
        slices[nan] = hidden
        stack_write(stack, slices, paths)

    return replace(stack, write=write, frozen=frozen if stack.frozen is None else frozen | stack.frozen)
