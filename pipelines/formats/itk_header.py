# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The headers of MetaImage and NRRD as text: where the voxels are, and how they are stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .checks import check_inside
from .stack import FormatError

__all__ = ["Layout", "data_output", "metaimage_layout", "nrrd_layout"]

LARGEST_HEADER = 2**20


@dataclass(frozen=True)
class Layout:
    """How a file stores the voxels.

    Attributes:
        header: the text, up to and with the line end before the voxels of a file that holds both.
        data: the file of the voxels.
        encoding: ``"raw"``, ``"zlib"`` (MetaImage) or ``"gzip"`` (NRRD).
        big_endian: byte order.
        interleaved: whether colors, if any, vary fastest.
        is_list: whether the fastest axis counts images (NRRD's kind ``list``).
    """

    header: bytes
    data: Path
    encoding: str
    big_endian: bool
    interleaved: bool = True
    is_list: bool = False


def metaimage_layout(path: Path) -> Layout:
    """Read the header of a MetaImage.

    Args:
        path: the ``.mha`` or ``.mhd`` file.

    Returns:
        Its layout. A data file lies in the folder of the header, or below.

    Raises:
        FormatError: when it is not a MetaImage, or stores its voxels in a way that is not supported.
    """
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
        path if name.upper() == "LOCAL" else _data_file(path, name),
        "zlib" if fields.get("compresseddata", "false").lower() == "true" else "raw",
        "true" in orders,
    )


def nrrd_layout(path: Path) -> Layout:
    """Read the header of an NRRD, ``.nrrd`` or ``.nhdr``. Result and errors are those of :func:`metaimage_layout`."""
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
    data = path if name is None else _data_file(path, name)
    kind = fields.get("kinds", "").split()[:1]
    big_endian = fields.get("endian", "little").lower() == "big"
    return Layout(header, data, encoding, big_endian, kind not in (["domain"], ["space"]), kind == ["list"])


def data_output(output: Path, path: Path, data: Path) -> Path:
    """The data file of a result: beside it, with the ending of the input's, such as ``.raw`` or ``.raw.gz``.

    Args:
        output: the header that is written.
        path: the header that was read.
        data: its data file.

    Returns:
        A path in the output's folder.
    """
    return output.with_name(
        output.stem + (data.name[len(path.stem) :] if data.name.startswith(path.stem) else data.suffix)
    )


def _data_file(path: Path, name: str) -> Path:
    data = path.parent / name
    check_inside(path, data)
    return data


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_HEADER)


def _fields(header: bytes, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in header.decode("latin-1").splitlines() if not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, _, value in lines}
