# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the metadata of a MetaTensor say about its values and its axes, as MONAI's readers write them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from pydicom import Dataset, dcmread

from ...data_manifest.discover import find_image_files
from ...transforms.file_types import is_dicom
from ...transforms.intensity import is_about_unit
from ..formats.dicom.pixels import stored_range_of
from ..formats.dicom.values import modality_of
from ..formats.stack import ImageStack

__all__ = ["apply_metadata", "channel_axis"]

# Pillow's names of 8-bit pixels.
EIGHT_BIT_MODES = ("L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
NIFTI_UINT8 = 2
EIGHT_BIT_RANGE = (0, 255)
# DICOM tags as MONAI's PydicomReader writes them, and SimpleITK's.
BITS_STORED = ("00280101", "0028|0101")
MODALITY = ("00080060", "0008|0060")
RESCALE_SLOPE = ("00281053", "0028|1053")
RESCALE_INTERCEPT = ("00281052", "0028|1052")


def apply_metadata(stack: ImageStack, meta: Mapping[str, Any]) -> None:
    """Note in a stack what the metadata say about its values: CT in HU, or 8 bits.

    Metadata outlive transforms of the values. They do not count for values about [0, 1], which were scaled since.

    Args:
        stack: an image as slices; its ``modality`` and ``stored_range`` are set.
        meta: metadata of one of MONAI's readers, or of :class:`~noisewise.transforms.LoadMedicalImage`.
    """
    if is_about_unit(stack.slices):
        return
    header = _dicom_header(meta)
    if str(_tag(meta, MODALITY)).upper() == "CT" or (header is not None and modality_of(header) == "ct"):
        stack.modality = "ct"
    elif _has_eight_bits(meta) or (header is not None and _stores_eight_bits(header)):
        stack.stored_range = EIGHT_BIT_RANGE


def channel_axis(image: MetaTensor) -> int | None:
    """The axis of the channels, if the metadata say where the reader left it and the shape agrees.

    ``EnsureChannelFirst`` moves the axis without noting it, so that the shape must tell whether it ran.

    Args:
        image: an image or a volume, with or without a channel axis.

    Returns:
        0 for channel first, which is also the answer where nothing else is known; -1 for channel last; None if there is
        no channel axis.
    """
    stated, spatial = image.meta.get("original_channel_dim"), image.meta.get("spatial_shape")
    if stated is None or spatial is None:
        return 0
    axes = len(np.atleast_1d(np.asarray(spatial)))
    if isinstance(stated, float) and math.isnan(stated):
        # A volume that lost its last axis has as many axes as before, but its first one is the channel.
        return None if image.ndim == axes and (image.ndim == 2 or image.shape[0] != 1) else 0
    is_last = int(stated) in (-1, axes) and image.ndim == axes + 1
    return -1 if is_last and image.shape[-1] in (1, 3, 4) and image.shape[0] not in (1, 3, 4) else 0


def _dicom_header(meta: Mapping[str, Any]) -> Dataset | None:
    """The header of the DICOM file that was read; MONAI's reader keeps only its geometry in the metadata."""
    path = meta.get("filename_or_obj")
    if not isinstance(path, (str, os.PathLike)) or not os.path.exists(path):
        return None
    files = find_image_files(path)[:1] if os.path.isdir(path) else [Path(path)]
    if not files or not is_dicom(files[0]):
        return None
    return dcmread(files[0], stop_before_pixels=True)


def _stores_eight_bits(header: Dataset) -> bool:
    rescale = (header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0))
    return "BitsAllocated" in header and stored_range_of(header) == EIGHT_BIT_RANGE and rescale == (1, 0)


def _has_eight_bits(meta: Mapping[str, Any]) -> bool:
    if "stored_dtype" in meta:
        return meta["stored_dtype"] in ("uint8", "bool")
    if "mode" in meta:
        return meta["mode"] in EIGHT_BIT_MODES
    if "datatype" in meta:
        slope, intercept = (_number(meta.get(name)) for name in ("scl_slope", "scl_inter"))
        plain = math.isnan(slope) or slope == 0 or (slope == 1 and intercept == 0)
        return _number(meta["datatype"]) == NIFTI_UINT8 and plain
    if _tag(meta, BITS_STORED) is None:
        return False
    rescale = (_number(_tag(meta, RESCALE_SLOPE) or 1), _number(_tag(meta, RESCALE_INTERCEPT) or 0))
    return _number(_tag(meta, BITS_STORED)) <= 8 and rescale == (1, 0)


def _tag(meta: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value of a DICOM element, or None."""
    for name in names:
        value = meta.get(name)
        if isinstance(value, Mapping):
            value = (value.get("Value") or [None])[0]
        if value is not None:
            return value
    return None


def _number(value: Any) -> float:
    try:
        return float(np.asarray(value).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        return math.nan
