# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The function that reads a file, chosen by the suffix of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...transforms.file_types import (
    BMP_SUFFIXES,
    JPEG_SUFFIXES,
    METAIMAGE_SUFFIXES,
    NIFTI_SUFFIXES,
    NRRD_SUFFIXES,
    PNG_SUFFIXES,
    TIFF_SUFFIXES,
)
from .checks import check_file
from .itk_image import read_metaimage, read_nrrd
from .nifti import read_nifti
from .photo import read_bmp, read_jpeg, read_png
from .stack import FormatError, ImageStack
from .tiff import read_tiff

__all__ = ["SUFFIXES", "VOLUME_SUFFIXES", "read_stack", "suffix_of"]

_VOLUME_READERS: dict[str, Callable[..., ImageStack]] = {
    **dict.fromkeys(NIFTI_SUFFIXES, read_nifti),
    **dict.fromkeys(METAIMAGE_SUFFIXES, read_metaimage),
    **dict.fromkeys(NRRD_SUFFIXES, read_nrrd),
}
_READERS: dict[str, Callable[..., ImageStack]] = {
    **dict.fromkeys(PNG_SUFFIXES, read_png),
    **dict.fromkeys(JPEG_SUFFIXES, read_jpeg),
    **dict.fromkeys(BMP_SUFFIXES, read_bmp),
    **dict.fromkeys(TIFF_SUFFIXES, read_tiff),
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
