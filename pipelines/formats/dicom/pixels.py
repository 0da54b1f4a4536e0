# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of a DICOM file: checked to be an image, decoded to stored values, and encoded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes

from ..stack import FormatError

__all__ = [
    "check_image",
    "decode_pixels",
    "frame_count",
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


def frame_count(header: Dataset) -> int:
    """The number of frames, 1 for files that do not say."""
    return int(header.get("NumberOfFrames") or 1)


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
    if not syntax.is_encapsulated:
        _check_length(path, dataset)
    count, colors = frame_count(dataset), int(dataset.SamplesPerPixel)
    shape = (int(dataset.Rows), int(dataset.Columns), *((3,) if colors == 3 else ()))
    decoder = get_decoder(syntax)
    choose = syntax in JPEG2000TransferSyntaxes and JPEG_2000_DECODER in decoder.available_plugins
    plugin = JPEG_2000_DECODER if choose else ""
    # Bits above the stored ones may be an overlay that must not be lost; no compressed file keeps any there.
    options = {"as_rgb": True, "correct_unused_bits": syntax.is_encapsulated, "decoding_plugin": plugin}
    pixels, done = None, 0
    for frame, _ in decoder.iter_array(dataset, **options):
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
        decoder = get_decoder(syntax)
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
    samples = dataset.SamplesPerPixel
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        samples = 2
    stated = dataset.Rows * dataset.Columns * samples * (dataset.BitsAllocated // 8) * frame_count(dataset)
    actual = len(dataset.PixelData)
    if actual != stated + stated % 2:
        fault = "is truncated" if actual < stated else "has pixel data of the wrong length"
        raise FormatError(path, f"{fault}: {actual} bytes of pixels where its header asks for {stated}.")
