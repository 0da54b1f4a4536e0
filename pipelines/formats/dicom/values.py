# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The meaning of stored DICOM values: their unit, padding, and bits that do not belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset

from ....data_manifest.discover import DICOM_MODALITIES
from ..stack import FormatError
from .geometry import functional_group
from .pixels import stored_range_of

__all__ = ["modality_of", "padding_mask", "rescale_of", "split_unused_bits", "unit_of"]

UNSPECIFIED = ("", "US")


def rescale_of(path: Path, header: Dataset, frame: int) -> tuple[float, float]:
    """Slope and intercept of a frame: the Pixel Value Transformation of enhanced images, else the Modality LUT's.

    Args:
        path: the file, for messages.
        header: its data set.
        frame: index of the frame.

    Returns:
        ``real value = slope * stored + intercept``; 1 and 0 for files that do not say.

    Raises:
        FormatError: when they map all values to one, or are not finite numbers.
    """
    item = functional_group(header, frame, "PixelValueTransformationSequence")
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise FormatError(path, f"its rescale slope {slope:g} and intercept {intercept:g} give no values.")
    return slope, intercept


def unit_of(header: Dataset) -> str:
    """The unit of rescaled values, ``""`` when unknown.

    CT values are Hounsfield units unless RescaleType says otherwise (PS3.3 C.8.2.1); PET says its own in Units.
    """
    item = functional_group(header, 0, "PixelValueTransformationSequence")
    if header.get("Modality") == "PT" and header.get("Units"):
        return str(header.Units)
    if item.get("RescaleSlope") is None:
        return ""
    stated = item.get("RescaleType")
    if stated is None and header.get("Modality") == "CT":
        return "HU"
    return "" if (stated or "") in UNSPECIFIED else str(stated)


def modality_of(header: Dataset) -> str | None:
    """The manifest's name of the modality; None when unknown, and for CT not in HU, whose range would be wrong."""
    modality = DICOM_MODALITIES.get(str(header.get("Modality") or "").upper())
    return None if modality == "ct" and unit_of(header) != "HU" else modality


def padding_mask(header: Dataset, pixels: np.ndarray) -> np.ndarray | None:
    """Which pixels are padding: PixelPaddingValue, or all up to PixelPaddingRangeLimit.

    Args:
        header: the file's data set.
        pixels: ``(n, H, W)``, as on file.

    Returns:
        ``(n, H, W)``; None where none is.
    """
    value, limit = (header.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if value is None or pixels.ndim == 4:
        return None
    limit = value if limit is None else limit
    # Some writers give signed values as unsigned ones of the same bits.
    ends = np.array([int(value), int(limit)], np.int64).astype(pixels.dtype)
    mask = (pixels >= ends.min()) & (pixels <= ends.max())
    return mask if mask.any() else None


def split_unused_bits(
    header: Dataset, pixels: np.ndarray, padding: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Separate the stored values from the bits above them, where old files keep overlays.

    Args:
        header: the file's data set.
        pixels: ``(n, H, W[, 3])``, as on file.
        padding: which of them are padding, which may lie beyond ``BitsStored``.

    Returns:
        The stored values (PS3.5, 8.1.1: nothing can be assumed of the bits above them), and these bits in their
        places; None when, apart from padding, the values fill whole words.
    """
    low, high = stored_range_of(header)
    beyond = (pixels < low) | (pixels > high)
    if padding is not None:
        beyond &= ~padding
    if not beyond.any():
        return pixels, None
    bits, size = int(header.BitsStored), pixels.dtype.itemsize
    raw = pixels.view(f"u{size}")
    # Up and down again: the second shift of signed values brings their sign with it.
    spare = 8 * size - bits
    return (raw << spare).view(pixels.dtype) >> spare, raw & ~raw.dtype.type(2**bits - 1)
