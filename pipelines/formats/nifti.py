# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI: only the voxels are replaced; the header, extensions and the rest of the file are copied byte for byte."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from ...atomic import atomic_path
from .checks import check_file, check_inside, check_output, check_values, reading, writing
from .memory import check_compressed, check_memory
from .stack import FormatError, ImageStack, VolumeCut
from .values import gzip_writer, planes, read_values
from .volume import choose_slice_axis, slice_spacing, slices_of, volume_of

__all__ = ["pair_data", "read_nifti"]

MILLIMETERS = {"mm": 1.0, "meter": 1e3, "micron": 1e-3}
# Where the header says where the voxels begin, by its own size.
OFFSETS = {348: (108, "f"), 540: (168, "q")}
PAIR_ENDINGS = {".hdr": ".img", ".hdr.gz": ".img.gz"}
# Extensions and appendices beyond this size are no headers. Compressed, they may be of any size.
LARGEST_EXTRA = 2**26
RGB24 = [("R", "u1"), ("G", "u1"), ("B", "u1")]


def read_nifti(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read a NIfTI-1 or NIfTI-2 file, ``.nii`` or ``.nii.gz``, or a pair of files, ``.hdr`` with its ``.img``.

    The slices of a 4-D file are those of its first volume, then those of the next, under one intensity mapping.

    Args:
        path: the file; of a pair, the header.
        slice_axis: 0, 1 or 2, the voxel axis along which volumes are cut. None takes an axis of length 1 where there
            is one, else that of the largest spacing, else (ties) the last.

    Returns:
        The stored values ``(N, H, W)``, or ``(N, H, W, 3)`` for RGB24, with ``scl_slope`` and ``scl_inter`` as slope
        and intercept. Rows run along the later of the two other axes.

    Raises:
        FormatError: when the file cannot be read or does not fit the memory, its values are complex, of more than 64
            bits or infinite, or it has one dimension, or more than four that are longer than 1.
    """
    path = Path(path)
    data = pair_data(path)
    with reading(path, "NIfTI"):
        _check_header_size(path, data is not None)
        if data is not None:
            check_inside(path, data)
        try:
            image = nibabel.load(path, mmap=False)
        except ImageFileError as error:
            raise FormatError(path, "is not a NIfTI file, whatever its name says, or its header is damaged.") from error
        if data is None and type(image) not in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            raise FormatError(path, f"is a {type(image).__name__}; single NIfTI-1 and NIfTI-2 files are supported.")
        if data is not None and type(image) not in (nibabel.Nifti1Pair, nibabel.Nifti2Pair):
            raise FormatError(
                path, f"is a {type(image).__name__}, which does not say how it lies in space; save it as NIfTI first."
            )
        if data is not None:
            check_file(data)
        # The header only: nibabel has read no voxel yet.
        proxy, header = image.dataobj, image.header
        color = proxy.dtype.names is not None
        if color and proxy.dtype != np.dtype(RGB24):
            raise FormatError(path, "holds RGBA voxels; of color files only RGB24 is supported.")
        if proxy.dtype.kind == "c":
            raise FormatError(path, "holds complex values; denoise magnitude and phase as real images.")
        shape = tuple(int(length) for length in proxy.shape)
        if len(shape) < 2 or any(length != 1 for length in shape[4:]):
            raise FormatError(path, f"has the shape {shape}; 2-D, 3-D and 4-D images are supported.")
        stored = np.dtype(np.uint8) if color else proxy.dtype
        text = b"" if data is None else path.read_bytes()
        count = math.prod(shape) * (3 if color else 1)
        begin, values, end = _read_parts(path, path if data is None else data, proxy.offset, count, stored)
        zooms = (*(float(zoom) for zoom in header.get_zooms()[:3]), 1.0)[:3]
        axis = choose_slice_axis(path, (*shape, 1)[:3], zooms, slice_axis)
        cut = VolumeCut(shape[:4], axis)
        # The first axis varies fastest on file.
        slices = slices_of(values.reshape(cut.array_shape(color)), axis, color)
    check_values(path, slices)

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output = check_output(stack, slices, paths)
        volumes = volume_of(slices, cut.array_shape(color), axis)

        def write_voxels(output: Path) -> None:
            with _new_file(output) as file:
                file.write(begin)
                file.writelines(planes(volumes, stored))
                file.write(end)

        with writing(output):
            if data is None:
                write_voxels(output)
                return
            voxels = pair_data(output)
            new = not voxels.exists()
            try:
                # As in MetaImage, the voxels take their name first.
                with atomic_path(output) as temporary:
                    temporary.write_bytes(text)
                    write_voxels(voxels)
            except BaseException:
                if new:
                    voxels.unlink(missing_ok=True)
                raise

    return ImageStack(
        slices,
        [path],
        write,
        slope=1.0 if color else float(proxy.slope),
        intercept=0.0 if color else float(proxy.inter),
        spacing=_millimeters(header, zooms, axis) if len(shape) > 2 else None,
        affine=image.affine,
        cut=cut,
    )


def pair_data(path: Path) -> Path | None:
    """The file of the voxels that belongs to a header: ``a.img`` for ``a.hdr``.

    Args:
        path: a file.

    Returns:
        The path, in capitals where the header's ending is, or as it is on disk; None for files that hold both.
    """
    for ending, other in PAIR_ENDINGS.items():
        if path.name.lower().endswith(ending):
            stem, old = path.name[: -len(ending)], path.name[-len(ending) :]
            names = [path.with_name(stem + each) for each in (other, other.upper())]
            if old.isupper():
                names.reverse()
            return next((name for name in names if name.exists()), names[0])
    return None


def _check_header_size(path: Path, is_pair: bool) -> None:
    """Refuse a header whose extensions make no sense: nibabel would read as much as they state."""
    try:
        with _opened(path) as file:
            cause = _header_cause(file, is_pair)
    except (OSError, EOFError, zlib.error):
        return  # nibabel names what is wrong with it
    if cause is not None:
        raise FormatError(path, cause)


def _header_cause(file: BinaryIO, is_pair: bool) -> str | None:
    start = file.read(max(OFFSETS))
    orders = [order for order in "<>" if len(start) >= 4 and struct.unpack_from(f"{order}i", start)[0] in OFFSETS]
    if not orders:
        return None
    order = orders[0]
    size = struct.unpack_from(f"{order}i", start)[0]
    place, kind = OFFSETS[size]
    if len(start) < size:
        return None
    offset = struct.unpack_from(f"{order}{kind}", start, place)[0]
    if offset > LARGEST_EXTRA:
        return f"its header states {offset:g} bytes before its voxels, which makes no sense."
    file.seek(size)
    if file.read(4)[:1] in (b"", b"\0"):
        return None
    position = size + 4
    while is_pair or position + 16 <= offset:
        head = file.read(8)
        if is_pair and not head:
            return None
        length = struct.unpack(f"{order}i", head[:4])[0] if len(head) == 8 else 0
        if not 8 < length <= LARGEST_EXTRA:
            return "has a damaged header extension."
        position += length
        file.seek(length - 8, 1)
    return None


def _read_parts(name: Path, path: Path, offset: int, count: int, dtype: np.dtype) -> tuple[bytes, np.ndarray, bytes]:
    """The bytes before the voxels, the voxels, and the bytes after them.

    ``name`` is the file for messages. The file is read to its end, so that the checksum of a compressed file is
    verified.
    """
    length, size = count * dtype.itemsize, path.stat().st_size
    if _is_compressed(path):
        check_compressed(name, length, size)
    elif size < offset + length:
        raise ValueError("the file is truncated.")
    check_memory(name, length)
    with _opened(path) as file:
        begin, values = file.read(offset), read_values(file, count, dtype)
        end = file.read(LARGEST_EXTRA + 1)
    if len(end) > LARGEST_EXTRA:
        raise FormatError(name, "holds far more data than the voxels that its header states.")
    return begin, values, end


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if _is_compressed(path) else path.open("rb")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if _is_compressed(path):
            with gzip_writer(raw) as file:
                yield file
        else:
            yield raw


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _millimeters(
    header: nibabel.Nifti1Header, zooms: tuple[float, ...], axis: int
) -> tuple[float, float, float] | None:
    factor = MILLIMETERS.get(header.get_xyzt_units()[0])
    return None if factor is None else slice_spacing([zoom * factor for zoom in zooms], axis)
