# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices of a manifest in Hounsfield units, as rows and columns."""

from __future__ import annotations

import numpy as np

from ...data_manifest import ManifestRecord
from ...transforms import LoadMedicalImage, ScaleToUnitRanged
from ...transforms.intensity import CT_RANGE

__all__ = ["read_slice"]


def read_slice(record: ManifestRecord, target: bool = False) -> np.ndarray:
    """Read a CT slice.

    Args:
        record: a line of the manifest.
        target: whether to read its partner (the full dose of a pair) instead of the image.

    Returns:
        ``(H, W)`` float64 in HU.

    Raises:
        ImageReadError: when the file cannot be read.
    """
    item = record.datum()
    image = LoadMedicalImage()(item["target" if target else "image"], slice_index=record.slice)
    low, high = CT_RANGE
    unit = ScaleToUnitRanged("image")(item | {"image": image})["image"]
    # Files come with axes x, y.
    return np.asarray(unit[0], np.float64).T * (high - low) + low
