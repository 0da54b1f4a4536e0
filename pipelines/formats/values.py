# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing voxels that a file holds as one block, plain or deflated."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

__all__ = ["DEFLATE_LEVEL", "gzip_writer", "inflate_values", "planes", "read_values"]

# Level 9, gzip's default in Python, takes several times as long for files that are hardly smaller.
DEFLATE_LEVEL = 6
CHUNK = 2**20
ZLIB_OR_GZIP = 47  # the window bits by which zlib recognizes either


def read_values(file: BinaryIO, count: int, dtype: np.dtype) -> np.ndarray:
    """Read values straight into the array, without a second copy in memory.

    Args:
        file: positioned at the first value.
        count: of values.
        dtype: on file, of either byte order.

    Returns:
        ``(count,)`` in native byte order.

    Raises:
        ValueError: when the file ends too early.
    """
    values = np.empty(count, dtype)
    buffer, done = memoryview(values.view(np.uint8)), 0
    while done < len(buffer):
        got = file.readinto(buffer[done : done + CHUNK])
        if not got:
            raise ValueError("the file is truncated.")
        done += got
    return _native(values)


def inflate_values(file: BinaryIO, count: int, dtype: np.dtype) -> np.ndarray:
    """Read values straight from a zlib or gzip stream that holds nothing else.

    Args:
        file: positioned at the beginning of the stream.
        count: of values.
        dtype: on file, of either byte order.

    Returns:
        ``(count,)`` in native byte order.

    Raises:
        ValueError: when the stream ends too early, or holds more.
        zlib.error: when it is damaged.
    """
    values = np.empty(count, dtype)
    buffer, done = memoryview(values.view(np.uint8)), 0
    inflater = zlib.decompressobj(ZLIB_OR_GZIP)
    while not inflater.eof:
        packed = inflater.unconsumed_tail or file.read(CHUNK)
        # Ask for one byte more than is left, to notice a stream that holds more values.
        plain = inflater.decompress(packed, min(CHUNK, len(buffer) - done + 1))
        if (not packed and not plain) or done + len(plain) > len(buffer):
            break
        buffer[done : done + len(plain)] = plain
        done += len(plain)
    if done < len(buffer) or not inflater.eof:
        raise ValueError("the voxels are truncated, or do not fit the size that the header states.")
    return _native(values)


def planes(volumes: np.ndarray, dtype: np.dtype) -> Iterator[memoryview]:
    """The values as bytes, plane by plane, so that no second copy of the volumes is made.

    Args:
        volumes: ``(T, Z, ...)``.
        dtype: on file, of either byte order.

    Yields:
        The bytes of each plane.
    """
    for volume in volumes:
        for plane in volume:
            yield memoryview(np.ascontiguousarray(plane, dtype=dtype)).cast("B")


def gzip_writer(raw: BinaryIO) -> gzip.GzipFile:
    """A gzip stream into ``raw`` without name and time, so that equal images give equal files."""
    return gzip.GzipFile(filename="", mode="wb", compresslevel=DEFLATE_LEVEL, fileobj=raw, mtime=0)


def _native(values: np.ndarray) -> np.ndarray:
    if values.dtype.isnative:
        return values
    return values.byteswap(inplace=True).view(values.dtype.newbyteorder("="))
