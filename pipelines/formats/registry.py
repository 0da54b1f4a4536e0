# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The function that reads a file, chosen by the suffix of its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from ...transforms.file_types import (
    BMP_SUFFIXES,
    JPEG_SUFFIXES,
    METAIMAGE_SUFFIXES,
    NIFTI_SUFFIXES,
    NRRD_SUFFIXES,
    PNG_SUFFIXES,
    TIFF_SUFFIXES,
    unsupported_format,
)
from .checks import check_file
from .data_file import PAIR_SUFFIXES
from .nan import keep_nan
from .stack import FormatError, ImageStack

__all__ = ["SUFFIXES", "VOLUME_SUFFIXES", "read_stack", "suffix_of"]

# Modules and functions by name: each format's library takes long to import, and few runs need more than one.
_VOLUME_READERS = {
    **dict.fromkeys((*NIFTI_SUFFIXES, *PAIR_SUFFIXES), (".nifti", "read_nifti")),
    **dict.fromkeys(METAIMAGE_SUFFIXES, (".itk_image", "read_metaimage")),
    **dict.fromkeys(NRRD_SUFFIXES, (".itk_image", "read_nrrd")),
}
_READERS = {
    **dict.fromkeys(PNG_SUFFIXES, (".photo", "read_png")),
    **dict.fromkeys(JPEG_SUFFIXES, (".photo", "read_jpeg")),
    **dict.fromkeys(BMP_SUFFIXES, (".photo", "read_bmp")),
    **dict.fromkeys(TIFF_SUFFIXES, (".tiff", "read_tiff")),
    **_VOLUME_READERS,
}
_PAIR_DATA = (".img", ".img.gz")

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
        if path.name.lower().endswith(_PAIR_DATA):
            raise FormatError(path, "is the second of a pair of .hdr and .img files; give the .hdr file.")
        unsupported = unsupported_format(path)
        cause = "its name does not end in" if unsupported is None else f"{unsupported} is not a supported format; use"
        raise FormatError(path, f"{cause} any of {', '.join(SUFFIXES)}.")
    if suffix not in _VOLUME_READERS:
        return keep_nan(_reader(suffix)(path))
    return keep_nan(_reader(suffix)(path, slice_axis))


def _reader(suffix: str) -> Callable[..., ImageStack]:
    module, function = _READERS[suffix]
    return getattr(import_module(module, __package__), function)
