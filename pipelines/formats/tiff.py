# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""TIFF: a copy of the file whose strips and tiles are replaced in place.

A newly written TIFF would lose all that its writer does not know: private tags, metadata of microscopes, profiles.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, PREDICTOR, TIFF, TiffFile, TiffFileError, TiffPage

from ...atomic import atomic_path
from .checks import check_output, check_values, reading, writing
from .memory import check_memory
from .stack import FormatError, ImageStack
from .values import read_values

__all__ = ["read_tiff"]

SUB_IFDS, STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS = 330, 273, 279, 324, 325
LONG, LONG8 = 4, 16
# A page is decoded to an array of its own.
WORKING_COPIES = 3
BIG_TIFF = 43
REDUCED_OR_MASK = 0b101
ALPHA = (1, 2)
LOSSLESS = (
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
)


def read_tiff(path: Path) -> ImageStack:
    """Read a TIFF or BigTIFF of one or more pages; OME, ImageJ and MetaMorph files too.

    All pages are slices under one intensity mapping. The output is a copy of the file in which nothing but the pixels
    differs, and where those are compressed, their places. Channels beyond gray or RGB (transparency) stay as they are.

    Args:
        path: the file.

    Returns:
        The stored values, ``(N, H, W)`` or ``(N, H, W, 3)``; ``inverted`` is True for MINISWHITE.

    Raises:
        FormatError: when the file cannot be read; when its pages differ or hold reduced copies (pyramids of whole
            slides); when pixels have other than 8, 16, 32 or 64 bits, are indices into a color map or no gray or RGB
            levels; when they are compressed with loss; when values are complex, NaN or infinite.
    """
    path = Path(path)
    with reading(path, "TIFF"), _opened(path) as tiff:
        pages = list(tiff.pages)
        _check_pages(path, tiff, pages)
        volume = _single_volume(path, tiff, pages)
        if volume is not None and volume[0] + volume[1] * pages[0].nbytes > path.stat().st_size:
            raise FormatError(path, "the file is truncated.")
        slice_count = len(pages) if volume is None else volume[1]
        check_memory(path, slice_count * pages[0].size * pages[0].dtype.itemsize, WORKING_COPIES)
        if volume is not None:
            slices = _read_volume(path, tiff, *volume)
        else:
            first = _image_of(pages[0])
            slices = np.empty((len(pages), *first.shape), first.dtype)
            slices[0] = first
            for index, page in enumerate(pages[1:], 1):
                slices[index] = _image_of(page)
        inverted = pages[0].photometric == PHOTOMETRIC.MINISWHITE
        state = _state(path)
    check_values(path, slices)

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output = check_output(stack, slices, paths)
        if not path.exists() or _state(path) != state:
            raise FormatError(path, "was changed or moved while it was being denoised.")
        with writing(output), atomic_path(output) as temporary:
            shutil.copyfile(path, temporary)
            with TiffFile(temporary, mode="r+b") as copy:
                if volume is not None:
                    copy.filehandle.seek(volume[0])
                    for each in slices:
                        copy.filehandle.write(np.ascontiguousarray(each, each.dtype.newbyteorder(copy.byteorder)))
                    return
                uses = Counter(offset for page in copy.pages for offset in page.dataoffsets)
                for page, image in zip(copy.pages, slices):
                    _replace_image(copy, page, image, uses)

    return ImageStack(slices, [path], write, inverted=inverted)


def _opened(path: Path) -> TiffFile:
    _check_directories(path)
    try:
        return TiffFile(path)
    except TiffFileError as error:
        raise FormatError(path, "is not a TIFF file, whatever its name says, or it is damaged.") from error


def _check_directories(path: Path) -> None:
    """Refuse a file whose directories refer back to earlier ones: it would have pages without end."""
    with path.open("rb") as file:
        order = {b"II": "little", b"MM": "big"}.get(file.read(2))
        if order is None:
            return

        def number(size: int) -> int:
            return int.from_bytes(file.read(size), order)

        big = number(2) == BIG_TIFF
        if big:
            file.read(4)
        count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
        seen: set[int] = set()
        size = path.stat().st_size
        while 0 < (offset := number(offset_size)) < size:
            if offset in seen:
                raise FormatError(path, "is damaged: its directories of pages refer to each other in a circle.")
            seen.add(offset)
            file.seek(offset)
            # Past the end of the file nothing is read, and the offset is 0.
            file.seek(min(size, offset + count_size + number(count_size) * entry_size))


def _check_pages(path: Path, tiff: TiffFile, pages: Sequence[TiffPage]) -> None:
    size = path.stat().st_size
    if not pages:
        raise FormatError(path, "holds no page.")
    for page in pages:
        if SUB_IFDS in page.tags or page.subfiletype & REDUCED_OR_MASK:
            raise FormatError(
                path, "holds reduced copies or masks (a pyramid or a whole slide), which would no longer fit the image."
            )
        _check_page(path, page)
        if _kind(page) != _kind(pages[0]):
            raise FormatError(
                path, "its pages differ in size, type or color (a whole slide, or several images); split it first."
            )
        if any(begin + length > size for begin, length in zip(page.dataoffsets, page.databytecounts)):
            raise FormatError(path, "the file is truncated.")


def _kind(page: TiffPage) -> tuple[Any, ...]:
    return page.shaped, page.dtype, page.photometric, page.samplesperpixel


def _check_page(path: Path, page: TiffPage) -> None:
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB):
        raise FormatError(path, f"its pixels are {_name(PHOTOMETRIC, page.photometric)}; gray and RGB are supported.")
    if page.bitspersample == 1:
        raise FormatError(path, "has 1-bit pixels: black and white hold no noise that could be removed.")
    if page.bitspersample not in (8, 16, 32, 64) or page.dtype is None or page.dtype.kind not in "uif":
        raise FormatError(
            path,
            f"has {page.bitspersample}-bit pixels (or complex ones); save real ones of 8, 16, 32 or 64 bits first.",
        )
    color = page.photometric == PHOTOMETRIC.RGB
    extra = page.samplesperpixel - (3 if color else 1)
    if extra and not color and (extra > 1 or page.extrasamples[0] not in ALPHA):
        raise FormatError(path, f"has {page.samplesperpixel} channels that are not RGB; save them as pages first.")
    if page.imagedepth != 1 or page.fillorder != 1:
        raise FormatError(path, "has an image depth or a fill order that is not supported; save it again first.")
    if page.compression not in LOSSLESS:
        raise FormatError(
            path,
            f"is compressed by {_name(COMPRESSION, page.compression)}; save it plain, or by LZW or Deflate, first.",
        )
    try:
        TIFF.DECOMPRESSORS[page.compression], TIFF.COMPRESSORS[page.compression]
        TIFF.UNPREDICTORS[page.predictor], TIFF.PREDICTORS[page.predictor]
    except KeyError as error:
        raise FormatError(
            path,
            f"is compressed by {_name(COMPRESSION, page.compression)} (predictor "
            f"{_name(PREDICTOR, page.predictor)}), which needs a package: pip install noisewise[tiff]",
        ) from error


def _name(kind: type, value: int) -> str:
    try:
        return kind(value).name
    except ValueError:
        return str(value)


def _single_volume(path: Path, tiff: TiffFile, pages: Sequence[TiffPage]) -> tuple[int, int] | None:
    """Offset and number of slices where one page describes a whole volume that lies in one block, else None."""
    if len(pages) > 1 or not (tiff.is_imagej or tiff.is_shaped or tiff.is_stk):
        return None
    series = tiff.series[0]
    if series.size == pages[0].size:
        return None
    if series.dataoffset is None or series.size % pages[0].size or pages[0].planarconfig != 1:
        raise FormatError(path, "is a volume that does not lie in one block; save it again first.")
    return series.dataoffset, series.size // pages[0].size


def _read_volume(path: Path, tiff: TiffFile, offset: int, count: int) -> np.ndarray:
    page = tiff.pages[0]
    if page.samplesperpixel not in (1, 3):
        raise FormatError(path, f"is a volume of {page.samplesperpixel} channels; gray and RGB are supported.")
    tiff.filehandle.seek(offset)
    values = read_values(tiff.filehandle, count * page.size, page.dtype.newbyteorder(tiff.byteorder))
    return values.reshape(count, *page.shaped[2:4], *((3,) if page.samplesperpixel == 3 else ()))


def _image_of(page: TiffPage) -> np.ndarray:
    """``(H, W)`` or ``(H, W, 3)``."""
    # Planes if separate, depth, rows, columns, samples.
    pixels = page.asarray(maxworkers=1).reshape(page.shaped)[:, 0]
    pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[..., 0], 0, -1)
    return pixels[..., :3] if page.photometric == PHOTOMETRIC.RGB else pixels[..., 0]


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _replace_image(tiff: TiffFile, page: TiffPage, image: np.ndarray, uses: Counter) -> None:
    """Write each strip or tile that changes: in its place where it fits, else at the end of the file."""
    file = tiff.filehandle
    offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
    image = image.reshape(*image.shape[:2], -1)
    for index, (old, position, shape) in enumerate(page.segments(maxworkers=1)):
        plane, _, row, column, _ = position
        new = np.zeros(shape, page.dtype) if old is None else old.copy()
        part = image[row : row + new.shape[1], column : column + new.shape[2]]
        if page.shaped[0] > 1:
            part = part[..., plane : plane + 1]  # a plane of transparency gets no new values
        new[0, : part.shape[0], : part.shape[1], : part.shape[2]] = part
        if old is not None and np.array_equal(new, old):
            continue
        data = _encoded(tiff, page, new)
        begin, length = offsets[index], lengths[index]
        # Writers may store equal tiles only once.
        own = begin > 0 and uses[begin] == 1
        if own:
            file.seek(begin)
            file.write(data + bytes(length - len(data)) if len(data) <= length else bytes(length))
        if not own or len(data) > length:
            begin = file.seek(0, 2)
            begin += file.write(bytes(begin % 2))  # offsets are even
            file.write(data)
        offsets[index], lengths[index] = begin, len(data)
    dtype = LONG8 if tiff.is_bigtiff else LONG
    codes = (TILE_OFFSETS, TILE_BYTE_COUNTS) if page.is_tiled else (STRIP_OFFSETS, STRIP_BYTE_COUNTS)
    for code, before, after in zip(codes, (page.dataoffsets, page.databytecounts), (offsets, lengths)):
        if list(before) != after:
            page.tags[code].overwrite(after, dtype=dtype)


def _encoded(tiff: TiffFile, page: TiffPage, segment: np.ndarray) -> bytes:
    """The bytes in the file of a strip or tile ``(1, H, W, S)``."""
    if page.predictor != PREDICTOR.NONE:
        segment = TIFF.PREDICTORS[page.predictor](segment, axis=-2)
    if page.predictor != PREDICTOR.FLOATINGPOINT:  # which defines its own byte order
        segment = segment.astype(segment.dtype.newbyteorder(tiff.byteorder), copy=False)
    compress = TIFF.COMPRESSORS[page.compression]
    if page.compression == COMPRESSION.PACKBITS:  # by the standard no run crosses rows
        return b"".join(compress(row.tobytes()) for row in segment[0])
    return bytes(compress(segment.tobytes()))
