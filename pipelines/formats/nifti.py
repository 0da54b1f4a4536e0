# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI: only the voxels are replaced; the header, extensions and the rest of the file are copied byte for byte."""

from __future__ import annotations

import gzip
import math
from contextlib import nullcontext
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from ...atomic import atomic_path
from .checks import check_output, check_values, reading, writing
from .stack import FormatError, ImageStack, VolumeCut
from .values import gzip_writer, planes, read_values
from .volume import choose_slice_axis, slice_spacing, slices_of, volume_of

__all__ = ["read_nifti"]

MILLIMETERS = {"mm": 1.0, "meter": 1e3, "micron": 1e-3}
RGB24 = [("R", "u1"), ("G", "u1"), ("B", "u1")]


def read_nifti(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read a NIfTI-1 or NIfTI-2 file, ``.nii`` or ``.nii.gz``.

    The slices of a 4-D file are those of its first volume, then those of the next, under one intensity mapping.

    Args:
        path: the file.
        slice_axis: 0, 1 or 2, the voxel axis along which volumes are cut. None takes an axis of length 1 where there
            is one, else that of the largest spacing, else (ties) the last.

    Returns:
        The stored values ``(N, H, W)``, or ``(N, H, W, 3)`` for RGB24, with ``scl_slope`` and ``scl_inter`` as slope
        and intercept. Rows run along the later of the two other axes.

    Raises:
        FormatError: when the file cannot be read, its values are complex, of more than 64 bits, NaN or infinite, or
            it has one dimension, or more than four that are longer than 1.
    """
    path = Path(path)
    with reading(path, "NIfTI"):
        try:
            image = nibabel.load(path, mmap=False)
        except ImageFileError as error:
            raise FormatError(path, "is not a NIfTI file, whatever its name says, or its header is damaged.") from error
        if type(image) not in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            raise FormatError(path, f"is a {type(image).__name__}; single NIfTI-1 and NIfTI-2 files are supported.")
        # The header only: nibabel has read no voxel yet.
        proxy, header = image.dataobj, image.header
        color = proxy.dtype.names is not None
        if color and proxy.dtype != np.dtype(RGB24):
            raise FormatError(path, "holds RGBA voxels; of color files only RGB24 is supported.")
        if proxy.dtype.kind == "c":
            raise FormatError(path, "holds complex values; denoise magnitude and phase as real images.")
        shape = tuple(int(length) for length in proxy.shape)
        if len(shape) < 2 or any(length != 1 for length in shape[4:]):
            raise FormatError(path, f"has the shape {shape}; 2-D, 3-D and 4-D images are supported.")
        stored = np.dtype(np.uint8) if color else proxy.dtype
        begin, values, end = _read_parts(path, proxy.offset, math.prod(shape) * (3 if color else 1), stored)
        zooms = (*(float(zoom) for zoom in header.get_zooms()[:3]), 1.0)[:3]
        axis = choose_slice_axis(path, (*shape, 1)[:3], zooms, slice_axis)
        cut = VolumeCut(shape[:4], axis)
        # The first axis varies fastest on file.
        slices = slices_of(values.reshape(cut.array_shape(color)), axis, color)
    check_values(path, slices)

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output = check_output(stack, slices, paths)
        volumes = volume_of(slices, cut.array_shape(color), axis)
        compressed = _is_compressed(output)
        with (
            writing(output),
            atomic_path(output) as temporary,
            temporary.open("wb") as raw,
            gzip_writer(raw) if compressed else nullcontext(raw) as file,
        ):
            file.write(begin)
            file.writelines(planes(volumes, stored))
            file.write(end)

    return ImageStack(
        slices,
        [path],
        write,
        slope=1.0 if color else float(proxy.slope),
        intercept=0.0 if color else float(proxy.inter),
        spacing=_millimeters(header, zooms, axis) if len(shape) > 2 else None,
        affine=image.affine,
        cut=cut,
    )


def _read_parts(path: Path, offset: int, count: int, dtype: np.dtype) -> tuple[bytes, np.ndarray, bytes]:
    """The bytes before the voxels, the voxels, and the bytes after them.

    The file is read to its end, so that the checksum of a compressed file is verified.
    """
    compressed = _is_compressed(path)
    if not compressed and path.stat().st_size < offset + count * dtype.itemsize:
        raise ValueError("the file is truncated.")
    with gzip.open(path) if compressed else path.open("rb") as file:
        return file.read(offset), read_values(file, count, dtype), file.read()


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _millimeters(
    header: nibabel.Nifti1Header, zooms: tuple[float, ...], axis: int
) -> tuple[float, float, float] | None:
    factor = MILLIMETERS.get(header.get_xyzt_units()[0])
    return None if factor is None else slice_spacing([zoom * factor for zoom in zooms], axis)
