# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of a DICOM file: checked to be an image, decoded to stored values, and encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes

from ..stack import FormatError
from .codestream import codestream_cause
from .decoder_process import decoded_frames
from .size import frame_count, native_size

__all__ = [
    "check_image",
    "decode_pixels",
    "no_image_cause",
    "pixel_bytes",
    "pixel_dtype",
    "stored_range_of",
]

GRAY = ("MONOCHROME1", "MONOCHROME2")
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# MPEG-2, H.264 and H.265 (PS3.5 A.4) and SMPTE ST 2110.
VIDEO = (*(f"1.2.840.10008.1.2.4.{number}" for number in (*range(100, 109), 110)), "1.2.840.10008.1.2.7")
# pydicom's first choice, GDCM, fails where a JPEG 2000 stream and its header differ in sign or depth.
JPEG_2000_DECODER = "pylibjpeg"
DECODERS = "pip install 'noisewise[dicom]'"


def no_image_cause(header: Dataset) -> str | None:
    """Why a DICOM file is not an image that can be denoised, by its SOP class.

    Dose grids, segmentations and the like are not images either: their values are computed and hold no noise.

    Args:
        header: the data set, with or without its pixels.

    Returns:
        The cause; None for an image.
    """
    if "DirectoryRecordSequence" in header or "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity" in header:
        return "is a DICOMDIR, an index of other files."
    kind = UID(str(header.get("SOPClassUID") or ""))
    if kind and not kind.is_private and kind.name != kind and "Image Storage" not in kind.name:
        return f"is not an image but {kind.name.removesuffix(' Storage')}."
    return None


def check_image(path: Path, header: FileDataset) -> None:
    """Refuse a file that is not an image, or of a kind that cannot be denoised and written again.

    Args:
        path: the file, for the message.
        header: its data set, with or without its pixels.

    Raises:
        FormatError: names the cause.
    """
    for find_cause in (no_image_cause, _damage_cause, _syntax_cause, _pixel_cause, _meaning_cause):
        cause = find_cause(header)
        if cause is not None:
            raise FormatError(path, cause)


def _damage_cause(header: Dataset) -> str | None:
    if "SOPClassUID" not in header and "Rows" not in header:
        return "is not a DICOM image, or was cut off before it says what it holds."
    return None


def pixel_dtype(header: Dataset) -> np.dtype:
    """The stored values' dtype in native byte order."""
    return np.dtype(f"{'i' if header.PixelRepresentation else 'u'}{header.BitsAllocated // 8}")


def stored_range_of(header: Dataset) -> tuple[int, int]:
    """The lowest and the highest value that ``BitsStored`` allows."""
    bits = int(header.get("BitsStored") or header.BitsAllocated)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if header.PixelRepresentation else (0, 2**bits - 1)


def decode_pixels(path: Path, dataset: FileDataset) -> np.ndarray:
    """Decode the pixels of a file that :func:`check_image` lets pass.

    Args:
        path: the file, for messages.
        dataset: all of it.

    Returns:
        ``(n, H, W)``, or ``(n, H, W, 3)`` RGB, in :func:`pixel_dtype`. Bits above ``BitsStored`` are as on file.

    Raises:
        FormatError: when there are no pixels, or too few or too many.
        Exception: what decoders raise on damaged data.
    """
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise FormatError(path, "holds floating point pixels, which are not supported in DICOM.")
    if not dataset.get("PixelData"):
        if "EncryptedAttributesSequence" in dataset:
            raise FormatError(path, "its pixel data are encrypted.")
        raise FormatError(path, "holds no pixel data, or is truncated.")
    syntax = dataset.file_meta.TransferSyntaxUID
    count, colors = frame_count(dataset), int(dataset.SamplesPerPixel)
    if syntax.is_encapsulated:
        _check_frames(path, dataset)
    else:
        _check_length(path, dataset)
    shape = (int(dataset.Rows), int(dataset.Columns), *((3,) if colors == 3 else ()))
    pixels, done = None, 0
    for frame in _frames(path, dataset, shape):
        if frame.shape != shape or done == count:
            raise FormatError(path, f"its pixel data are not the {count} frames of {shape} that its header states.")
        if pixels is None:
            # Only now: a header may state a size that no memory holds.
            pixels = np.empty((count, *shape), pixel_dtype(dataset))
        pixels[done] = frame
        done += 1
    if done != count:
        raise FormatError(path, f"its pixel data hold {done} of {count} frames.")
    return pixels


def _frames(path: Path, dataset: FileDataset, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    decoder = _decoder(dataset.file_meta.TransferSyntaxUID)
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        # Bits above the stored ones may be an overlay that must not be lost; no compressed file keeps any there.
        for frame, _ in decoder.iter_array(dataset, as_rgb=True, correct_unused_bits=False):
            yield frame
        return
    choose = decoder.UID in JPEG2000TransferSyntaxes and JPEG_2000_DECODER in decoder.available_plugins
    yield from decoded_frames(path, shape, JPEG_2000_DECODER if choose else "")


def _decoder(syntax: UID) -> Any:
    # pydicom 2, which MONAI Label requires, lacks the module. There, headers alone are read.
    from pydicom.pixels import get_decoder

    return get_decoder(syntax)


def _check_frames(path: Path, dataset: FileDataset) -> None:
    """Compare the headers of compressed frames with the data set's."""
    from pydicom.encaps import generate_frames, parse_basic_offsets, parse_fragments  # see _decoder

    count, pixels = frame_count(dataset), dataset.PixelData
    buffer = BytesIO(pixels)
    parse_basic_offsets(buffer)
    fragments, _ = parse_fragments(buffer)
    if fragments < count:
        raise FormatError(path, f"its pixel data hold {fragments} of {count} frames.")
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    for frame in generate_frames(pixels, number_of_frames=count, extended_offsets=offsets):
        cause = codestream_cause(dataset.file_meta.TransferSyntaxUID, frame, dataset)
        if cause is not None:
            raise FormatError(path, cause)


def pixel_bytes(pixels: np.ndarray, planar: bool, big_endian: bool) -> bytes:
    """Encode pixels without compression.

    Args:
        pixels: ``(n, H, W)`` or ``(n, H, W, 3)``.
        planar: whether each frame's colors lie plane by plane.
        big_endian: byte order.

    Returns:
        The value of PixelData, of even length.
    """
    if planar and pixels.ndim == 4:
        pixels = np.moveaxis(pixels, -1, 1)
    plain = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    return plain + b"\0" * (len(plain) % 2)


def _syntax_cause(header: FileDataset) -> str | None:
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.startswith(VIDEO):
        return f"is a video ({syntax.name}); only images are supported."
    try:
        decoder = _decoder(syntax)
    except NotImplementedError:
        return f"its transfer syntax {syntax.name} is not supported."
    if not decoder.is_available:
        return f"is compressed by {syntax.name}, which needs a decoder: {DECODERS}."
    return None


def _pixel_cause(header: Dataset) -> str | None:
    """Why values of this kind cannot be denoised."""
    needed = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")
    missing = [name for name in needed if not header.get(name)]
    if missing:
        return f"does not say its {', '.join(missing)}: it is damaged, or holds no image."
    if header.get("SamplesPerPixel") is None or header.get("PixelRepresentation") is None:
        return "does not say its SamplesPerPixel or PixelRepresentation."
    if frame_count(header) < 1:
        return f"states {frame_count(header)} frames."
    kind, samples, bits = header.PhotometricInterpretation, header.SamplesPerPixel, header.BitsAllocated
    if kind == "PALETTE COLOR" or "RedPaletteColorLookupTableDescriptor" in header:
        return "its values are indices of colors in a palette, not intensities."
    if not (kind in GRAY and samples == 1) and not (kind in COLORS and samples == 3):
        return f"its pixels are {kind} of {samples} samples; {', '.join(GRAY + COLORS)} are supported."
    if bits == 1:
        return "has 1-bit pixels: black and white hold no noise that could be removed."
    if bits not in (8, 16, 32):
        return f"has {bits} bits allocated; 8, 16 and 32 are supported."
    stored = int(header.get("BitsStored") or bits)
    if not 1 < stored <= bits or int(header.get("HighBit", stored - 1)) != stored - 1:
        return f"{stored} bits stored of {bits} up to bit {header.get('HighBit')} are not supported."
    return None


def _meaning_cause(header: Dataset) -> str | None:
    """Why values cannot be taken for intensities of one whole image."""
    if header.get("ModalityLUTSequence"):
        return "its values mean something only through a Modality LUT, which is not supported."
    if "TotalPixelMatrixColumns" in header:
        return "is a whole-slide image in tiles, which is not supported."
    if "ConcatenationUID" in header:
        return "is a part of a concatenation; join its parts to one file first."
    if not header.get("SOPInstanceUID") or not header.get("SOPClassUID"):
        return "has no SOP Class or SOP Instance UID, by which a result could name its source."
    return None


def _check_length(path: Path, dataset: Dataset) -> None:
    stated, actual = native_size(dataset), len(dataset.PixelData)
    # Some writers leave out the byte that makes an odd length even.
    if actual not in (stated, stated + stated % 2):
        fault = "is truncated" if actual < stated else "has pixel data of the wrong length"
        raise FormatError(path, f"{fault}: {actual} bytes of pixels where its header asks for {stated}.")
