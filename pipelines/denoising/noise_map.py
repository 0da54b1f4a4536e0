# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The removed noise as an image of its own, in the same place in space as the denoised one."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import tifffile

from ...atomic import atomic_path
from ...transforms.file_types import NIFTI_SUFFIXES
from ..formats.checks import writing
from ..formats.registry import suffix_of
from ..formats.stack import ImageStack
from ..formats.volume import volume_of

__all__ = ["write_noise_map"]


def write_noise_map(stack: ImageStack, removed: np.ndarray, path: Path) -> None:
    """Write the removed noise.

    Args:
        stack: the image that was denoised.
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
            color = removed.ndim == 4
            pages = removed if len(removed) > 1 else removed[0]
            tifffile.imwrite(temporary, pages, photometric="rgb" if color else "minisblack", metadata=None)


def _volume(stack: ImageStack, removed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``(X, Y, Z[, T])``, colors as a fifth axis, and their affine."""
    color = removed.ndim == 4
    affine = np.eye(4) if stack.affine is None else stack.affine
    if stack.cut is None:
        return np.moveaxis(removed, -1, 0).T if color else removed.T, affine
    volume = volume_of(removed, stack.cut.array_shape(color), stack.cut.axis)
    if color:
        return np.moveaxis(volume, -1, 0).T, affine
    return volume.T.reshape(stack.cut.shape), affine
