# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks common to all formats: of files before they are read, of their values, and of output before it is written."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .stack import FormatError, ImageStack

__all__ = ["check_file", "check_inside", "check_output", "check_values", "last_line", "reading", "writing"]

# Their messages quote names of Python, not values of files.
NAMES_ARE_OURS = (AttributeError, ImportError, OSError)
QUOTED = re.compile(r"""b?'[^']*(?:'|$)|b?"[^"]*(?:"|$)""")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_file(path: Path) -> None:
    """Refuse a path that is not a file, is empty or cannot be read.

    Args:
        path: a file.

    Raises:
        FormatError: names the cause.
    """
    if path.is_dir():
        raise FormatError(path, "is a folder, not an image file.")
    if not path.exists():
        raise FormatError(path, "no such file.")
    if not path.is_file():
        raise FormatError(path, "is not a regular file.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error.strerror or error}.") from error
    if empty:
        raise FormatError(path, "the file is empty (0 bytes).")


def check_inside(path: Path, data: Path) -> None:
    """Refuse a data file outside the folder of the header that names it: its content must not reach the output.

    Args:
        path: the header.
        data: the file that it names. Links are followed.

    Raises:
        FormatError: when it lies elsewhere.
    """
    folders = {path.parent.resolve(), path.resolve().parent}
    if not any(data.resolve().is_relative_to(folder) for folder in folders):
        raise FormatError(
            path, "names a data file outside its own folder, which is not followed; put both files into one folder."
        )


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn any error that a library raises on a bad file into one line that names the file.

    Args:
        path: the file, which is checked first, see :func:`check_file`.
        kind: what it should be, such as ``"PNG"``.

    Raises:
        FormatError: for a bad file.
    """
    check_file(path)
    try:
        yield
    except FormatError:
        raise
    except MemoryError as error:
        raise FormatError(path, "does not fit the memory of this computer.") from error
    except Exception as error:  # decoders raise all kinds on damaged files
        raise FormatError(path, f"cannot be read as {kind}: {last_line(error)}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error while a file is written into one line that names the file.

    The error of a full disk is passed on, because it concerns all files and not this one.

    Args:
        path: the file to be written.

    Raises:
        FormatError: for a folder that is not writable and the like.
        OSError: when the disk or the quota is full.
    """
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        cause = error.strerror if isinstance(error, OSError) and error.strerror else last_line(error)
        raise FormatError(path, f"cannot be written: {cause}") from error


def check_values(path: Path, slices: np.ndarray) -> None:
    """Refuse an image without pixels, with complex or other unsupported values, or with infinite ones.

    NaN pass; see :func:`~noisewise.pipelines.formats.nan.keep_nan`.

    Args:
        path: the file, for the message.
        slices: ``(N, ...)``, the stored values.

    Raises:
        FormatError: names the cause, and the number of bad values.
    """
    if slices.size == 0:
        raise FormatError(path, f"the image has no pixels, shape {slices.shape}.")
    if slices.dtype.kind not in "uif" or slices.dtype.itemsize > 8:
        raise FormatError(path, f"holds {slices.dtype} values; integers and real numbers up to 64 bits are supported.")
    if slices.dtype.kind == "f":
        # One slice at a time: a mask of a whole volume would cost a quarter of its memory.
        bad = sum(int(np.count_nonzero(np.isinf(each))) for each in slices)
        if bad:
            raise FormatError(path, f"{bad} of {slices.size} values are infinite.")


def check_output(stack: ImageStack, slices: np.ndarray, paths: Sequence[Path]) -> Path:
    """Refuse to write slices that do not fit the stack they came from.

    Args:
        stack: the image that was read.
        slices: the denoised slices.
        paths: the output paths, one for the formats of one file.

    Returns:
        The output's path.

    Raises:
        ValueError: when shape, dtype or the number of paths is wrong.
    """
    if slices.shape != stack.slices.shape or slices.dtype != stack.slices.dtype:
        raise ValueError(
            f"{stack.name}: {slices.dtype} {slices.shape} cannot take the place of "
            f"{stack.slices.dtype} {stack.slices.shape}."
        )
    if len(paths) != 1:
        raise ValueError(f"{stack.name}: one file is written to one path, got {len(paths)}.")
    return Path(paths[0])


def last_line(error: Exception) -> str:
    """The cause of an error in one line: libraries that wrap an error put the original one last.

    Text that they quote may be the value of a header, and so a patient's data, and is left out; names of attributes and
    modules are not.

    Args:
        error: of any library.

    Returns:
        At most 300 characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[-1] if lines else type(error).__name__
    return (line if isinstance(error, NAMES_ARE_OURS) else QUOTED.sub("'...'", line))[:300]
