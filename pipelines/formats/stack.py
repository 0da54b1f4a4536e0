# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a file holds, in the one form that everything else works on: slices, and what their values mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FormatError", "ImageStack"]


class FormatError(ValueError):
    """A file that cannot be read, denoised or written; the message names the file and the cause."""

    def __init__(self, path: object, cause: str) -> None:
        super().__init__(f"{path}: {cause}")
        self.path = str(path)
        self.cause = cause


@dataclass
class ImageStack:
    """One image, volume or series as slices that are denoised one by one under one intensity mapping.

    Values are kept as they are stored, so that what no denoiser touches comes back to the bit.

    Attributes:
        slices: ``(N, H, W)`` grey or ``(N, H, W, 3)`` colour, the stored values in native byte order.
        paths: the files it came from; the first one names it in messages.
        write: writes denoised slices: called with the stack, the new slices (shape and dtype of ``slices``) and the
            output paths, which it puts in place atomically.
        slope: ``real value = slope * stored + intercept``, one number or one a slice ``(N,)``, never 0.
        intercept: see ``slope``.
        unit: of the real values, such as ``"HU"``; ``""`` when unknown.
        modality: ``"ct"``, ``"mri"``, ...; None when the file does not say.
        stored_range: the lowest and highest value that the file can hold; the dtype's own when None. For DICOM that
            is what ``BitsStored`` allows.
        frozen: ``(N, H, W)``, True where a pixel is no image (padding, an overlay) and stays as it is; None for none.
        spacing: pixel distances (slice, row, column) in millimetres, None where unknown.
        details: whatever the writer needs besides.
    """

    slices: np.ndarray
    paths: list[Path]
    write: Callable[[ImageStack, np.ndarray, list[Path]], None]
    slope: float | np.ndarray = 1.0
    intercept: float | np.ndarray = 0.0
    unit: str = ""
    modality: str | None = None
    stored_range: tuple[float, float] | None = None
    frozen: np.ndarray | None = None
    spacing: tuple[float, float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.paths[0]) if len(self.paths) == 1 else str(self.paths[0].parent)

    @property
    def eight_bit(self) -> bool:
        """Whether the stored values are 8-bit grey levels."""
        return self.slices.dtype == np.uint8

    def real(self, index: int | slice = slice(None)) -> np.ndarray:
        """The values of some slices in their own unit, float32."""
        slope, intercept = (np.asarray(value, np.float64) for value in (self.slope, self.intercept))
        if slope.ndim or intercept.ndim:
            count = len(self.slices)
            shape = (-1,) + (1,) * (self.slices.ndim - 1) if isinstance(index, slice) else ()
            slope = np.broadcast_to(slope, (count,))[index].reshape(shape)
            intercept = np.broadcast_to(intercept, (count,))[index].reshape(shape)
        return (self.slices[index] * slope + intercept).astype(np.float32)
