# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of the audit's page: few enough bytes to embed, exact enough to window them in a browser."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Picture", "encode_picture"]

LARGEST_SIDE = 768
# The steps between values, in standard deviations of the removed part: coarser ones would show in its picture.
STEP = 1 / 16


@dataclass(frozen=True)
class Picture:
    """One slice before and after denoising. Its real values are ``offset + step * number``.

    Attributes:
        width: in pixels, after averaging.
        height: likewise.
        channels: 1 or 3.
        bits: of the numbers, 8 or 16.
        step: see above.
        offset: see above.
        factor: pixels of the image on a side of one pixel of the picture.
        pixels: bytes, compressed by zlib and encoded as Base64. The numbers ``(before or after, channel, row, column)``
            are replaced by the difference from the left neighbor, modulo 2 to the number of bits; all low bytes precede
            all high ones.
    """

    width: int
    height: int
    channels: int
    bits: int
    step: float
    offset: float
    factor: int
    pixels: str

    def description(self) -> dict[str, Any]:
        """All but the pixels."""
        return {name: value for name, value in asdict(self).items() if name != "pixels"}


def encode_picture(
    before: np.ndarray, after: np.ndarray, std: float, hounsfield: bool = False, eight_bit: bool = False
) -> Picture:
    """Encode a slice before and after denoising.

    Args:
        before: ``(H, W)`` or ``(H, W, 3)``; a side above 768 pixels is averaged down. Values that are not finite become
            the lowest one.
        after: array of the same shape.
        std: standard deviation of the removed part, in the unit of the values.
        hounsfield: whether steps below 1 are of no interest.
        eight_bit: whether the values are integers from 0 to 255.

    Returns:
        The picture.

    Raises:
        ValueError: if the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"the image has shape {before.shape}, the result {after.shape}.")
    factor = -(-max(before.shape[:2]) // LARGEST_SIDE)
    both = np.stack([_shrink(np.asarray(each, np.float64), factor) for each in (before, after)])
    finite = np.isfinite(both)
    low, high = (float(each) for each in (both[finite].min(), both[finite].max())) if finite.any() else (0.0, 0.0)
    if eight_bit:
        low, high, step = 0.0, 255.0, 1.0
    else:
        low = float(np.floor(low)) if hounsfield else low
        step = max((high - low) / 65535, std * STEP, 1.0 if hounsfield else 0.0) or 1.0
    bits = 8 if (high - low) / step <= 255 else 16
    numbers = np.rint(np.clip((np.where(finite, both, low) - low) / step, 0, 2**bits - 1))
    planes = np.moveaxis(numbers, -1, 1) if numbers.ndim == 4 else numbers[:, None]
    planes = planes.astype(np.uint16)
    differences = np.diff(planes, axis=-1, prepend=np.uint16(0))  # wraps around
    data = (differences & 0xFF).astype(np.uint8).tobytes()
    if bits == 16:
        data += (differences >> 8).astype(np.uint8).tobytes()
    pixels = base64.b64encode(zlib.compress(data, 6)).decode()
    _, channels, height, width = planes.shape
    return Picture(width, height, channels, bits, step, low, factor, pixels)


def _shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """The mean of blocks; the last ones may be smaller."""
    if factor == 1:
        return image
    for axis in (0, 1):
        starts = np.arange(0, image.shape[axis], factor)
        sizes = np.diff(np.append(starts, image.shape[axis]))
        image = np.add.reduceat(image, starts, axis) / sizes.reshape(-1, *(1,) * (image.ndim - 1 - axis))
    return image
