# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Opening a DICOM file."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset, dcmread, filereader
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ..checks import reading
from ..memory import check_compressed, check_memory
from ..stack import FormatError
from .size import stated_size

__all__ = ["read_dataset"]

# Deflated, the elements before the pixels may be of any size; more than this is no header.
LARGEST_HEADER = 2**24
CHUNK = 2**20
PIXEL_TAGS = tuple(map(Tag, ("PixelData", "FloatPixelData", "DoubleFloatPixelData")))
META_GROUP, ITEM_GROUP = 0x0002, 0xFFFE


def read_dataset(path: Path, pixels: bool = True, tags: list[str] | None = None) -> FileDataset:
    """Read a DICOM file, with or without preamble and file meta header.

    Elements are decoded on use, so that all others can be written again byte for byte. Item tags outside sequences,
    which some writers leave behind, are dropped.

    Args:
        path: the file.
        pixels: whether to read the pixel data and the elements after them.
        tags: keywords of the elements to read; all when None.

    Returns:
        Its data set, with a transfer syntax in any case.

    Raises:
        FormatError: when it is missing, empty or not DICOM, or when it is deflated and holds far more than its header
            states.
    """
    # pydicom's warnings name values, which may be a patient's.
    with reading(path, "DICOM"), warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        preamble, meta = _file_meta(file)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            plain = _inflate(path, file, pixels)
            dataset = FileDataset(path, _parse(plain, pixels, tags), preamble, meta, False, True)
        else:
            file.seek(0)
            dataset = dcmread(file, force=True, stop_before_pixels=not pixels, specific_tags=tags)
            dataset.filename = str(path)
        if not dataset.file_meta.get("TransferSyntaxUID"):
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        for tag in [tag for tag in list(dataset.keys()) if tag.group == ITEM_GROUP]:
            del dataset[tag]
        return dataset


def _file_meta(file: BinaryIO) -> tuple[bytes | None, FileMetaDataset]:
    """The preamble and the file meta header; the file is left at the first byte of the data set."""
    preamble = filereader.read_preamble(file, force=True)
    begin = file.tell()
    try:
        meta = filereader.read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != META_GROUP)
        return preamble, FileMetaDataset(meta)
    except Exception:
        # There is none, or it is damaged, which pydicom sees for itself.
        file.seek(begin)
        return preamble, FileMetaDataset()


def _parse(plain: bytes, pixels: bool, tags: list[str] | None = None) -> Dataset:
    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        return tag in PIXEL_TAGS

    return filereader.read_dataset(
        io.BytesIO(plain),
        False,
        True,
        stop_when=None if pixels else at_pixels,
        specific_tags=None if tags is None else list(map(Tag, tags)),
    )


def _inflate(path: Path, file: BinaryIO, pixels: bool) -> bytes:
    """The deflated data set: all of it, or as much as holds the elements before the pixels."""
    inflater, plain = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    _inflate_up_to(inflater, file, plain, LARGEST_HEADER)
    if len(plain) >= LARGEST_HEADER and pixels:
        size = stated_size(_parse(bytes(plain), pixels=False))
        check_compressed(path, size, path.stat().st_size)
        check_memory(path, size)
        _inflate_up_to(inflater, file, plain, size + 2 * LARGEST_HEADER)
        if not inflater.eof:
            raise FormatError(path, "is truncated, or inflates to far more than the pixels that its header states.")
    elif len(plain) < LARGEST_HEADER and not inflater.eof:
        raise ValueError("the deflated data set is truncated.")
    return bytes(plain)


def _inflate_up_to(inflater: zlib._Decompress, file: BinaryIO, plain: bytearray, most: int) -> None:
    while not inflater.eof and len(plain) < most:
        packed = inflater.unconsumed_tail or file.read(CHUNK)
        part = inflater.decompress(packed, min(CHUNK, most - len(plain)))
        if not packed and not part:
            return
        plain += part
