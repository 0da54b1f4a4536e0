# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD: only the voxels are replaced; the header is copied byte for byte.

SimpleITK interprets the header. It does not write the files, because it would drop comments, the modality, the kinds
of axes and the space they are given in.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK

from ...atomic import atomic_path
from .checks import check_file, check_output, check_values, reading, writing
from .itk_header import Layout, data_output, metaimage_layout, nrrd_layout
from .memory import check_compressed, check_memory
from .stack import FormatError, ImageStack, VolumeCut
from .values import DEFLATE_LEVEL, inflate_values, planes, read_values
from .volume import LPS_TO_RAS, choose_slice_axis, slice_spacing, slices_of, volume_of

__all__ = ["read_metaimage", "read_nrrd"]

DATA_FILE = re.compile(rb"(?im)^((?:ElementDataFile[ \t]*=|data ?file:)[ \t]*)[^\r\n]*")
DTYPES = {
    SimpleITK.sitkUInt8: np.uint8,
    SimpleITK.sitkInt8: np.int8,
    SimpleITK.sitkUInt16: np.uint16,
    SimpleITK.sitkInt16: np.int16,
    SimpleITK.sitkUInt32: np.uint32,
    SimpleITK.sitkInt32: np.int32,
    SimpleITK.sitkUInt64: np.uint64,
    SimpleITK.sitkInt64: np.int64,
    SimpleITK.sitkFloat32: np.float32,
    SimpleITK.sitkFloat64: np.float64,
    SimpleITK.sitkVectorUInt8: np.uint8,
}
VECTORS = {
    SimpleITK.sitkVectorUInt8: np.uint8,
    SimpleITK.sitkVectorInt8: np.int8,
    SimpleITK.sitkVectorUInt16: np.uint16,
    SimpleITK.sitkVectorInt16: np.int16,
    SimpleITK.sitkVectorUInt32: np.uint32,
    SimpleITK.sitkVectorInt32: np.int32,
    SimpleITK.sitkVectorUInt64: np.uint64,
    SimpleITK.sitkVectorInt64: np.int64,
    SimpleITK.sitkVectorFloat32: np.float32,
    SimpleITK.sitkVectorFloat64: np.float64,
}
WINDOW_BITS = {"zlib": 15, "gzip": 31}


def read_metaimage(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read a MetaImage, ``.mha``, or ``.mhd`` with its ``.raw`` or ``.zraw``.

    Args:
        path: the file; of two, the header.
        slice_axis: see :func:`~noisewise.pipelines.formats.nifti.read_nifti`.

    Returns:
        The stored values, ``(N, H, W)``, or ``(N, H, W, 3)`` for three 8-bit channels.

    Raises:
        FormatError: when the file cannot be read, has other channels or dimensions, keeps its voxels as text, in
            more than one file or outside its folder, does not fit the memory, or its values are infinite.
    """
    return _read(Path(path), "MetaImage", "MetaImageIO", metaimage_layout, slice_axis)


def read_nrrd(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read an NRRD, ``.nrrd``, or ``.nhdr`` with its data file.

    Arguments, result and errors are those of :func:`read_metaimage`.
    """
    return _read(Path(path), "NRRD", "NrrdImageIO", nrrd_layout, slice_axis)


def _read(
    path: Path, kind: str, image_io: str, layout_of: Callable[[Path], Layout], slice_axis: int | None
) -> ImageStack:
    with reading(path, kind):
        layout = layout_of(path)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO(image_io)
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise FormatError(path, f"its {kind} header is damaged.") from error
        components, size = reader.GetNumberOfComponents(), tuple(reader.GetSize())
        dtype = DTYPES.get(reader.GetPixelID())
        # SimpleITK takes the images of a list for the components of one image.
        listed = layout.is_list and components > 1 and len(size) in (2, 3)
        if listed:
            dtype, size, components = VECTORS.get(reader.GetPixelID()), (*size, 1)[:3] + (components,), 1
        color = components == 3 and dtype == np.uint8
        if dtype is None or (components != 1 and not color):
            pixel = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
            raise FormatError(path, f"holds {components} x {pixel}; gray, and three channels of 8 bits, are supported.")
        if not 2 <= len(size) <= 4:
            raise FormatError(path, f"has {len(size)} dimensions; 2-D, 3-D and 4-D images are supported.")
        if color and not layout.interleaved:
            raise FormatError(path, "its colors are not the first axis; save it with interleaved colors first.")
        stored = np.dtype(dtype).newbyteorder(">" if layout.big_endian else "<")
        values, rest = _read_voxels(path, layout, math.prod(size) * components, stored)
        spacing = (*reader.GetSpacing()[:3], 1.0)[:3]
        axis = choose_slice_axis(path, (*size, 1)[:3], spacing, slice_axis)
        cut = VolumeCut(size, axis)
        shape = cut.array_shape(color)
        if listed:
            slices = slices_of(np.moveaxis(values.reshape(*shape[1:], shape[0]), -1, 0), axis)
        else:
            slices = slices_of(values.reshape(shape), axis, color)
    check_values(path, slices)

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output = check_output(stack, slices, paths)
        volumes = volume_of(slices, shape, axis)
        if listed:
            volumes = np.moveaxis(volumes, 0, -1)
        with writing(output):
            _write(output, path, layout, _encoded(volumes, stored, layout.encoding), rest)

    return ImageStack(
        slices,
        [path],
        write,
        spacing=slice_spacing(spacing, axis) if reader.GetDimension() > 2 else None,
        affine=_affine(reader),
        cut=cut,
    )


def _affine(reader: SimpleITK.ImageFileReader) -> np.ndarray:
    """From a header that was read; of a 4-D image, that of its volumes."""
    dimensions = reader.GetDimension()
    size = min(3, dimensions)
    direction = np.reshape(reader.GetDirection(), (dimensions, dimensions))[:size, :size]
    affine = np.eye(4)
    affine[:size, :size] = direction * reader.GetSpacing()[:size]
    affine[:size, 3] = reader.GetOrigin()[:size]
    return LPS_TO_RAS @ affine


def _read_voxels(path: Path, layout: Layout, count: int, dtype: np.dtype) -> tuple[np.ndarray, bytes]:
    """The voxels in native byte order, and the bytes after them in a plain file."""
    check_file(layout.data)
    attached, length = layout.data == path, count * dtype.itemsize
    begin = len(layout.header) if attached else 0
    with layout.data.open("rb") as file:
        file.seek(begin)
        if layout.encoding == "raw":
            size = layout.data.stat().st_size - begin
            # A longer data file has a header of its own.
            if size < length or (size > length and not attached):
                raise FormatError(path, f"has {size} bytes of voxels where its header asks for {length}.")
            check_memory(path, length)
            return read_values(file, count, dtype), file.read()
        check_compressed(path, length, layout.data.stat().st_size)
        check_memory(path, length)
        return inflate_values(file, count, dtype), b""


def _encoded(volumes: np.ndarray, dtype: np.dtype, encoding: str) -> Iterator[bytes | memoryview]:
    if encoding == "raw":
        yield from planes(volumes, dtype)
        return
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, WINDOW_BITS[encoding])
    for plane in planes(volumes, dtype):
        yield compressor.compress(plane)
    yield compressor.flush()


def _write(output: Path, path: Path, layout: Layout, voxels: Iterator[bytes | memoryview], rest: bytes) -> None:
    header = layout.header
    if layout.encoding == "zlib":  # the header states the length
        voxels = list(voxels)
        length = str(sum(len(part) for part in voxels)).encode()
        header = re.sub(rb"(?im)^(CompressedDataSize[ \t]*=[ \t]*)\d+", rb"\g<1>" + length, header)
    if layout.data == path:
        with atomic_path(output) as temporary, temporary.open("wb") as file:
            file.write(header)
            file.writelines(voxels)
            file.write(rest)
        return
    data = data_output(output, path, layout.data)
    new = not data.exists()
    if not new and not output.exists():
        raise FormatError(output, f"{data.name} exists already and belongs to something else.")
    header = DATA_FILE.sub(lambda match: match[1] + os.fsencode(data.name), header)
    try:
        # The voxels take their name first: a header must never be there without them. A kill between the two leaves
        # the header under its temporary name, by which the next run knows that the voxels are its own.
        with atomic_path(output) as temporary:
            temporary.write_bytes(header)
            with atomic_path(data) as voxels_temporary, voxels_temporary.open("wb") as file:
                file.writelines(voxels)
    except BaseException:
        if new:
            data.unlink(missing_ok=True)
        raise
