# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The headers of compressed frames, compared with the data set: decoders may crash where the two differ."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

__all__ = ["codestream_cause"]

# ITU-T T.81, table B.1: frames of all kinds, but for DHT, JPG and DAC among them. T.87: JPEG-LS.
JPEG_START = b"\xff\xd8"
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
JPEG_LS_FRAME = 0xF7
JPEG_SCAN = 0xDA
# ITU-T T.800, A.5.1: the start of a codestream, and the image's size right after it.
JPEG_2000_START = b"\xff\x4f\xff\x51"
JPEG_2000_BOXES = 4096
HT_JPEG_2000 = "1.2.840.10008.1.2.4.20"


def codestream_cause(syntax: UID, frame: bytes, header: Dataset) -> str | None:
    """Why a compressed frame is not the one that the data set describes.

    Args:
        syntax: the file's transfer syntax.
        frame: the compressed bytes of one frame.
        header: the data set.

    Returns:
        The cause; None where the two agree, and for transfer syntaxes without a header of their own.
    """
    rows, columns, samples = int(header.Rows), int(header.Columns), int(header.SamplesPerPixel)
    stored = int(header.BitsAllocated) // 8
    if syntax == RLELossless:
        segments = int.from_bytes(frame[:4], "little")
        if segments == samples * stored:
            return None
        return f"its frames hold {segments} segments where its header asks for {samples * stored}."
    if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        found = _jpeg_size(frame)
    elif syntax in JPEG2000TransferSyntaxes or syntax.startswith(HT_JPEG_2000):
        found = _jpeg_2000_size(frame)
    else:
        return None
    if found is None:
        return f"its frames are not {syntax.name}: they are damaged."
    own = (*found[:3], -(-found[3] // 8))
    if own == (rows, columns, samples, stored):
        return None
    return (
        "its frames are {} x {} pixels of {} samples of {} bits".format(*found)
        + f" where its header states {rows} x {columns} pixels of {samples} samples of {8 * stored} bits."
    )


def _jpeg_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Rows, columns, components and bits of JPEG and JPEG-LS."""
    position = 2
    while frame.startswith(JPEG_START) and position + 10 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in JPEG_FRAMES or marker == JPEG_LS_FRAME:
            part = frame[position + 4 : position + 10]
            return int.from_bytes(part[1:3]), int.from_bytes(part[3:5]), part[5], part[0]
        if marker == JPEG_SCAN:
            return None
        position += 2 + int.from_bytes(frame[position + 2 : position + 4])
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Rows, columns, components and bits of JPEG 2000, with or without the boxes of a file around it."""
    begin = frame.find(JPEG_2000_START, 0, JPEG_2000_BOXES)
    if begin < 0 or len(frame) < begin + 43:
        return None
    # Length, capabilities, then: right and lower edge, left and upper edge, those of the tiles, components, bits.
    right, lower, left, upper = (int.from_bytes(frame[at : at + 4]) for at in range(begin + 8, begin + 24, 4))
    components = int.from_bytes(frame[begin + 40 : begin + 42])
    return lower - upper, right - left, components, (frame[begin + 42] & 0x7F) + 1
