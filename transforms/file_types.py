# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files are images: the suffixes of each format, and DICOM's preamble."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "BMP_SUFFIXES",
    "DICOM_SUFFIXES",
    "JPEG_SUFFIXES",
    "METAIMAGE_SUFFIXES",
    "NIFTI_SUFFIXES",
    "NRRD_SUFFIXES",
    "PIL_SUFFIXES",
    "PLAIN_SUFFIXES",
    "PNG_SUFFIXES",
    "TIFF_SUFFIXES",
    "has_dicom_content",
    "has_dicom_preamble",
    "is_dicom",
    "split_suffix",
    "unsupported_format",
]

PNG_SUFFIXES = (".png",)
JPEG_SUFFIXES = (".jpg", ".jpeg")
BMP_SUFFIXES = (".bmp",)
PIL_SUFFIXES = PNG_SUFFIXES + JPEG_SUFFIXES + BMP_SUFFIXES
TIFF_SUFFIXES = (".tif", ".tiff")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
# The data of .mhd and .nhdr lie in a second file, which is never read by itself.
METAIMAGE_SUFFIXES = (".mha", ".mhd")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
# What LoadMedicalImage reads besides DICOM.
PLAIN_SUFFIXES = PIL_SUFFIXES + TIFF_SUFFIXES + NIFTI_SUFFIXES
UNSUPPORTED_FORMATS = {
    ".gif": "GIF",
    ".webp": "WebP",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".jp2": "JPEG 2000",
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".mat": "MATLAB",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".mgz": "FreeSurfer MGH",
    ".mgh": "FreeSurfer MGH",
    ".svs": "Aperio SVS",
    ".czi": "Zeiss CZI",
    ".nd2": "Nikon ND2",
    ".img": "ANALYZE",
    ".img.gz": "ANALYZE",
}
"""Formats of images that nothing here reads, by suffix."""
# Companions of images that are never DICOM: opening each of them to look for a preamble would cost time.
OTHER_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".yaml", ".yml", ".xml", ".md", ".html", ".pdf", ".zip", ".gz")
# The first elements of a data set name its character set, kind, identifier and times: none is long.
HEAD_LENGTH, ENOUGH_ELEMENTS, LARGEST_FIRST_VALUE, UNDEFINED_LENGTH = 4096, 5, 1024, 0xFFFFFFFF
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
SHORT_VRS = tuple(bytes(pair) for pair in zip(*[iter(b"AEASATCSDADSDTFLFDISLOLTPNSHSLSSSTTMUIULUS")] * 2))


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file is DICOM by its name, or by its preamble where the name says nothing.

    Args:
        path: a file; one that cannot be opened is not DICOM.
    """
    name = os.fspath(path).lower()
    if name.endswith(DICOM_SUFFIXES):
        return True
    if name.endswith(PLAIN_SUFFIXES + OTHER_SUFFIXES):
        return False
    try:
        return has_dicom_preamble(path)
    except OSError:
        return False


def has_dicom_preamble(path: str | os.PathLike) -> bool:
    """Whether a file begins as DICOM files do, whatever its name says.

    Raises:
        OSError: when the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def unsupported_format(path: str | os.PathLike) -> str | None:
    """The name of a format of images that is not supported, by the suffix of a file.

    Args:
        path: any file; upper and lower case are the same.

    Returns:
        Such as ``"GIF"``; None for a file that is of a supported format or not an image.
    """
    name = os.fspath(path).lower()
    return next((kind for suffix, kind in UNSUPPORTED_FORMATS.items() if name.endswith(suffix)), None)


def has_dicom_content(path: str | os.PathLike) -> bool:
    """Whether a file begins as DICOM files do, with a preamble or, as old ones do, with the first data elements.

    Args:
        path: a file; one with the suffix of another format, or that cannot be opened, is not DICOM.
    """
    if os.fspath(path).lower().endswith(PLAIN_SUFFIXES + OTHER_SUFFIXES):
        return False
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_LENGTH)
    except OSError:
        return False
    return head[128:132] == b"DICM" or any(_begins_with_elements(head, order) for order in ("little", "big"))


def _begins_with_elements(head: bytes, order: str) -> bool:
    """Whether there are data elements in ascending order (PS3.5, 7.1), the first in group 2 or 8."""
    position, before, found = 0, (0, 0), 0
    while found < ENOUGH_ELEMENTS and position + 12 <= len(head):
        group, element = (int.from_bytes(head[at : at + 2], order) for at in (position, position + 2))
        if (found == 0 and group not in (0x0002, 0x0008)) or not before < (group, element):
            return False
        vr = head[position + 4 : position + 6]
        if vr in LONG_VRS:
            begin, length = 12, int.from_bytes(head[position + 8 : position + 12], order)
        elif vr in SHORT_VRS:
            begin, length = 8, int.from_bytes(head[position + 6 : position + 8], order)
        else:
            begin, length = 8, int.from_bytes(head[position + 4 : position + 8], order)
        before, found = (group, element), found + 1
        if length == UNDEFINED_LENGTH:
            break
        if length > LARGEST_FIRST_VALUE:
            return False
        position += begin + length
    return found >= min(3, ENOUGH_ELEMENTS)


def split_suffix(name: str, suffixes: tuple[str, ...] = PLAIN_SUFFIXES + DICOM_SUFFIXES) -> tuple[str, str]:
    """Split a file's name before its suffix, if that is a known one.

    DICOM files are often named by numbers with dots, which are not suffixes.

    Args:
        name: of the file, without its folder.
        suffixes: those that are known; upper and lower case are the same.

    Returns:
        The stem and the suffix in lower case; the whole name and ``""`` where no suffix is known or nothing precedes
        it.
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    return name, ""
