# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The size that a DICOM header states, and whether the file and the memory can hold it."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from ..memory import check_compressed, check_memory
from ..stack import FormatError

__all__ = ["LARGEST_VALUE", "check_size", "frame_count", "native_size", "stated_size"]

# The least that a frame of compressed pixels takes: the head of its fragment.
FRAGMENT_HEAD = 8
# The most that run-length encoding packs: 128 bytes into two.
RLE_RATIO = 64
LARGEST_VALUE = 2**32 - 2


def check_size(path: Path, header: FileDataset) -> None:
    """Refuse a file that states more pixels than its bytes can hold, or than fit the memory or a DICOM file.

    Args:
        path: the file.
        header: its data set, with or without its pixels; :func:`check_image` lets it pass.

    Raises:
        FormatError: names what is stated and what is there.
    """
    stated, size, count = stated_size(header), path.stat().st_size, frame_count(header)
    syntax = header.file_meta.TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:
        check_compressed(path, stated, size)
    elif not syntax.is_encapsulated:
        if native_size(header) > size:
            raise FormatError(path, f"is truncated: {size} bytes where its header asks for {stated} of pixels.")
    elif count > size // FRAGMENT_HEAD or (syntax == RLELossless and stated > RLE_RATIO * size):
        raise FormatError(path, f"is truncated or damaged: {size} bytes cannot hold the {count} frames it states.")
    if stated > LARGEST_VALUE:
        raise FormatError(path, "uncompressed, its pixels need more than the 4 GiB that DICOM allows.")
    check_memory(path, stated)


def frame_count(header: Dataset) -> int:
    """The number of frames, 1 for files that do not say."""
    return int(header.get("NumberOfFrames") or 1)


def native_size(header: Dataset) -> int:
    """Bytes of the pixels on file, where they are not compressed.

    Args:
        header: the data set, which states all of its size.
    """
    size = stated_size(header)
    return size // 3 * 2 if header.PhotometricInterpretation == "YBR_FULL_422" else size


def stated_size(header: Dataset) -> int:
    """Bytes of the pixels without compression, by the header; 0 for files that do not say."""
    samples = int(header.get("SamplesPerPixel") or 1)
    sides = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
    return sides * samples * (int(header.get("BitsAllocated") or 0) // 8) * frame_count(header)
