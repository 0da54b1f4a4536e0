# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which function reads which file, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .checks import check_file
from .itk_image import read_metaimage, read_nrrd
from .nifti import read_nifti
from .photo import read_bmp, read_jpeg, read_png
from .stack import FormatError, ImageStack
from .tiff import read_tiff

__all__ = ["SUFFIXES", "VOLUME_SUFFIXES", "read_stack", "suffix_of"]

# The data of .mhd and .nhdr lie in a second file, which is never read by itself.
_VOLUME_READERS: dict[str, Callable[..., ImageStack]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
}
_READERS: dict[str, Callable[..., ImageStack]] = {
    ".png": read_png,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".bmp": read_bmp,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    **_VOLUME_READERS,
}
_PAIRS = (".hdr", ".img", ".hdr.gz", ".img.gz")

SUFFIXES = tuple(_READERS)
VOLUME_SUFFIXES = tuple(_VOLUME_READERS)


def suffix_of(path: Path) -> str | None:
    """The known suffix that a file's name ends in.

    Args:
        path: of any file; upper and lower case are the same.

    Returns:
        One of :data:`SUFFIXES`, or None.
    """
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def read_stack(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read any file but DICOM.

    Args:
        path: a file that ends in one of :data:`SUFFIXES`.
        slice_axis: for volumes, the voxel axis (0, 1 or 2) along which they are cut; None chooses it, see
            :func:`~noisewise.pipelines.formats.nifti.read_nifti`.

    Returns:
        Its slices, see :class:`~noisewise.pipelines.formats.ImageStack`.

    Raises:
        FormatError: when the name ends in nothing known, or the file cannot be read.
    """
    path = Path(path)
    check_file(path)
    suffix = suffix_of(path)
    if suffix is None:
        if path.name.lower().endswith(_PAIRS):
            raise FormatError(path, "is one of a pair of .hdr and .img files; save it as one .nii file first.")
        raise FormatError(path, f"its name does not end in any of {', '.join(SUFFIXES)}.")
    if suffix not in _VOLUME_READERS:
        return _READERS[suffix](path)
    return _READERS[suffix](path, slice_axis)
