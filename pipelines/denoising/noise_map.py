# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What was removed, as an image of its own that lies where the denoised one does."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK
import tifffile

from ...atomic import atomic_path
from ..formats.checks import writing
from ..formats.dicom.geometry import frame_planes, plane_of
from ..formats.registry import VOLUME_SUFFIXES, suffix_of
from ..formats.stack import ImageStack
from ..formats.volume import volume_of

__all__ = ["write_noise_map"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
# DICOM and ITK name places from right to left and front to back, NIfTI the other way round.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_noise_map(stack: ImageStack, removed: np.ndarray, path: Path) -> None:
    """Write what was removed.

    Args:
        stack: what was denoised.
        removed: ``(N, H, W)`` or ``(N, H, W, 3)`` float32, input minus output in the unit of the values.
        path: ``.tif``, one page a slice, or ``.nii.gz`` with the place and orientation of the input.

    Raises:
        FormatError: when it cannot be written.
    """
    with writing(path), atomic_path(path) as temporary:
        if suffix_of(path) in NIFTI_SUFFIXES:
            values, affine = _volume(stack, removed)
            image = nibabel.Nifti1Image(values, affine)
            image.header.set_xyzt_units("mm")
            image.to_filename(temporary)
        else:
            colour = removed.ndim == 4
            pages = removed if len(removed) > 1 else removed[0]
            tifffile.imwrite(temporary, pages, photometric="rgb" if colour else "minisblack", metadata=None)


def _volume(stack: ImageStack, removed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``(X, Y, Z[, T])``, colours as a fifth axis, and their affine."""
    colour = removed.ndim == 4
    path = stack.paths[0]
    if suffix_of(path) not in VOLUME_SUFFIXES:
        return np.moveaxis(removed, -1, 0).T if colour else removed.T, _dicom_affine(stack)
    shape = stack.details["shape"]
    full = (*shape[:4], *(1,) * (4 - len(shape)))
    volume = volume_of(removed, (*full[::-1], *((3,) if colour else ())), stack.details["slice_axis"])
    affine = nibabel.load(path).affine if suffix_of(path) in NIFTI_SUFFIXES else _itk_affine(path)
    if colour:
        return np.moveaxis(volume, -1, 0).T, affine
    return volume.T.reshape(shape[:4]), affine


def _itk_affine(path: Path) -> np.ndarray:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = min(3, reader.GetDimension())
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:size, :size]
    affine = np.eye(4)
    affine[:size, :size] = direction * reader.GetSpacing()[:size]
    affine[:size, 3] = reader.GetOrigin()[:size]
    return LPS_TO_RAS @ affine


def _dicom_affine(stack: ImageStack) -> np.ndarray:
    """From the first and the last slice; without place or orientation where the files do not say where they lie."""
    count = len(stack.slices)
    if len(stack.paths) == 1:
        planes = frame_planes(_header(stack.paths[0]), count)
    else:
        planes = [plane_of(_header(stack.paths[index])) for index in (0, -1)]
    first, last = planes[0], planes[-1]
    distance, row, column = stack.spacing or (1.0, *(first.pixel_spacing or (1.0, 1.0)))
    if not (first.is_placed and last.is_placed):
        return np.diag([column, row, distance, 1.0])
    along_row, along_column = first.axes
    step = np.cross(along_row, along_column) * distance
    if count > 1 and not np.array_equal(first.position, last.position):
        step = (last.position - first.position) / (count - 1)
    affine = np.eye(4)
    affine[:3] = np.stack([along_row * column, along_column * row, step, first.position], axis=1)
    return LPS_TO_RAS @ affine


def _header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, force=True)
