# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The content of a file in the one form that everything else works on: slices, and the meaning of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Derivation", "DicomLayout", "FormatError", "ImageStack", "VolumeCut"]


class FormatError(ValueError):
    """A file that cannot be read, denoised or written; the message names the file and the cause."""

    def __init__(self, path: object, cause: str) -> None:
        super().__init__(f"{path}: {cause}")
        self.path = str(path)
        self.cause = cause


@dataclass(frozen=True)
class VolumeCut:
    """How a volume was cut into slices.

    Attributes:
        shape: of the volume, ``(X, Y)``, ``(X, Y, Z)`` or ``(X, Y, Z, T)``.
        axis: the axis along which it was cut, 0 for X, 1 for Y, 2 for Z.
    """

    shape: tuple[int, ...]
    axis: int

    def array_shape(self, color: bool) -> tuple[int, ...]:
        """The shape of the array of all voxels, ``(T, Z, Y, X)``, or ``(T, Z, Y, X, 3)`` in color."""
        full = (*self.shape, *(1,) * (4 - len(self.shape)))
        return (*full[::-1], *((3,) if color else ()))


@dataclass(frozen=True)
class DicomLayout:
    """How slices are spread over DICOM files.

    Attributes:
        frames: the number of frames of each file, in the order of the stack's paths.
        unused_bits: for each file that has any, the bits above its stored values (old files keep overlays there), in
            the shape of its pixels and in their places within each word.
    """

    frames: tuple[int, ...]
    unused_bits: Mapping[Path, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Derivation:
    """How slices were denoised, for formats that say so (DICOM).

    Attributes:
        model: the name of the model.
        weights: SHA-256 of its weights.
        strength: from 0 (no change) to 1.
        intensity_range: the real values of black and white, ``()`` for an image without contrast.
        precision: of the computation, such as ``"float32"``.
    """

    model: str
    weights: str
    strength: float
    intensity_range: tuple[float, ...]
    precision: str


@dataclass
class ImageStack:
    """One image, volume or series as slices that are denoised one by one under one intensity mapping.

    Values are kept as stored, so that untouched ones are written back bit for bit.

    Attributes:
        slices: ``(N, H, W)`` gray or ``(N, H, W, 3)`` color, the stored values in native byte order.
        paths: the files it came from; the first one names it in messages.
        write: writes denoised slices: called with the stack, the new slices (shape and dtype of ``slices``) and the
            output paths, which it puts in place atomically.
        slope: ``real value = slope * stored + intercept``, one number or one a slice ``(N,)``, never 0.
        intercept: see ``slope``.
        unit: of the real values, such as ``"HU"``; ``""`` when unknown.
        modality: ``"ct"``, ``"mri"``, ...; None when the file does not say.
        stored_range: the lowest and highest value that the file can hold; the dtype's own when None. For DICOM that
            is what ``BitsStored`` allows.
        frozen: ``(N, H, W)``, True for pixels outside the image (padding, an overlay), which stay as they are; None
            when there are none.
        spacing: pixel distances (slice, row, column) in millimeters, None where unknown.
        inverted: True where high values are black, as in DICOM's MONOCHROME1 and TIFF's MINISWHITE.
        affine: ``(4, 4)``, maps voxel indices to millimeters from left to right, back to front and foot to head, as in
            NIfTI. The indices are those of the volume, ``(X, Y, Z)``, or else ``(column, row, slice)``. None for
            formats without a place in space.
        cut: how the slices were cut from a volume; None when they were not.
        dicom: which DICOM file holds which slices; None for other formats.
        derivation: how the slices were denoised, set before they are written; None when unknown.
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
    inverted: bool = False
    affine: np.ndarray | None = None
    cut: VolumeCut | None = None
    dicom: DicomLayout | None = None
    derivation: Derivation | None = None

    @property
    def name(self) -> str:
        """The name that messages use."""
        return str(self.paths[0]) if len(self.paths) == 1 else str(self.paths[0].parent)

    @property
    def eight_bit(self) -> bool:
        """Whether the stored values are 8-bit gray levels."""
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
