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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from ...atomic import atomic_path
from .checks import check_file, check_output, check_values, reading, writing
from .stack import FormatError, ImageStack, VolumeCut
from .values import DEFLATE_LEVEL, inflate_values, planes, read_values
from .volume import LPS_TO_RAS, choose_slice_axis, slice_spacing, slices_of, volume_of

__all__ = ["read_metaimage", "read_nrrd"]

LARGEST_HEADER = 2**20
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
WINDOW_BITS = {"zlib": 15, "gzip": 31}


@dataclass(frozen=True)
class Layout:
    """How a file stores the voxels.

    Attributes:
        header: the text, up to and with the line end before the voxels of a file that holds both.
        data: the file of the voxels.
        encoding: ``"raw"``, ``"zlib"`` (MetaImage) or ``"gzip"`` (NRRD).
        big_endian: byte order.
        interleaved: whether colors, if any, vary fastest.
    """

    header: bytes
    data: Path
    encoding: str
    big_endian: bool
    interleaved: bool = True


def read_metaimage(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read a MetaImage, ``.mha``, or ``.mhd`` with its ``.raw`` or ``.zraw``.

    Args:
        path: the file; of two, the header.
        slice_axis: see :func:`~noisewise.pipelines.formats.nifti.read_nifti`.

    Returns:
        The stored values, ``(N, H, W)``, or ``(N, H, W, 3)`` for three 8-bit channels.

    Raises:
        FormatError: when the file cannot be read, has other channels or dimensions, keeps its voxels as text or in
            more than one file, or its values are NaN or infinite.
    """
    return _read(Path(path), "MetaImage", "MetaImageIO", _metaimage_layout, slice_axis)


def read_nrrd(path: Path, slice_axis: int | None = None) -> ImageStack:
    """Read an NRRD, ``.nrrd``, or ``.nhdr`` with its data file.

    Arguments, result and errors are those of :func:`read_metaimage`.
    """
    return _read(Path(path), "NRRD", "NrrdImageIO", _nrrd_layout, slice_axis)


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
        slices = slices_of(values.reshape(cut.array_shape(color)), axis, color)
    check_values(path, slices)

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output = check_output(stack, slices, paths)
        volumes = volume_of(slices, cut.array_shape(color), axis)
        with writing(output):
            _write(output, path, layout, _encoded(volumes, stored, layout.encoding), rest)

    return ImageStack(
        slices,
        [path],
        write,
        spacing=slice_spacing(spacing, axis) if len(size) > 2 else None,
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


def _metaimage_layout(path: Path) -> Layout:
    text = _head(path)
    last = re.search(rb"(?im)^ElementDataFile[ \t]*=.*\n?", text)
    if last is None:
        raise FormatError(path, "is not a MetaImage: its header names no ElementDataFile.")
    header = text[: last.end()]
    fields = _fields(header, "=")
    if fields.get("binarydata", "true").lower() != "true":
        raise FormatError(path, "keeps its voxels as text; save it in binary first.")
    if fields.get("headersize", "0") != "0":
        raise FormatError(path, "its data file begins with another header (HeaderSize), which is not supported.")
    name = fields["elementdatafile"]
    if name.upper().startswith("LIST") or "%" in name:
        raise FormatError(path, "keeps its voxels in several files; save it as one .mha first.")
    orders = [fields.get(key, "false").lower() for key in ("binarydatabyteordermsb", "elementbyteordermsb")]
    return Layout(
        header,
        path if name.upper() == "LOCAL" else path.parent / name,
        "zlib" if fields.get("compresseddata", "false").lower() == "true" else "raw",
        "true" in orders,
    )


def _nrrd_layout(path: Path) -> Layout:
    text = _head(path)
    if not text.startswith(b"NRRD"):
        raise FormatError(path, "is not an NRRD file, whatever its name says.")
    blank = re.search(rb"\r?\n\r?\n", text)
    header = text[: blank.end()] if blank else text
    fields = _fields(header, ":")
    name = fields.get("data file", fields.get("datafile"))
    encoding = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(fields.get("encoding", "").lower())
    if encoding is None:
        raise FormatError(path, f"the encoding {fields.get('encoding')!r} is not supported; save it raw or gzip first.")
    if any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise FormatError(path, "its data file begins with another header (line or byte skip), which is not supported.")
    if name is not None and (name.upper().startswith("LIST") or "%" in name):
        raise FormatError(path, "keeps its voxels in several files; save it as one .nrrd first.")
    data = path if name is None else path.parent / name
    interleaved = fields.get("kinds", "").split()[:1] not in (["domain"], ["space"])
    return Layout(header, data, encoding, fields.get("endian", "little").lower() == "big", interleaved)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_HEADER)


def _fields(header: bytes, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in header.decode("latin-1").splitlines() if not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, _, value in lines}


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
            return read_values(file, count, dtype), file.read()
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
    data = _data_path(output, path, layout)
    new = not data.exists()
    if not new and not output.exists():
        raise FormatError(output, f"{data.name} exists already and belongs to something else.")
    header = DATA_FILE.sub(lambda match: match[1] + os.fsencode(data.name), header)
    try:
        # Voxels first: a header must never be there without them.
        with atomic_path(data) as temporary, temporary.open("wb") as file:
            file.writelines(voxels)
        with atomic_path(output) as temporary:
            temporary.write_bytes(header)
    except BaseException:
        if new:
            data.unlink(missing_ok=True)
        raise


def _data_path(output: Path, path: Path, layout: Layout) -> Path:
    """A file beside the output, with the ending of the input's data file, such as ``.raw`` or ``.raw.gz``."""
    name = layout.data.name
    return output.with_name(
        output.stem + (name[len(path.stem) :] if name.startswith(path.stem) else layout.data.suffix)
    )
