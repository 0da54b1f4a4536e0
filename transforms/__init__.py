# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: reading, intensity mapping and noise simulation. They know nothing of data sets or training."""

from .intensity import RepeatGrayscaled, ScaleFromUnitRanged, ScaleToUnitRanged, intensity_range
from .load import ImageReadError, LoadMedicalImage, LoadMedicalImaged

__all__ = [
    "ImageReadError",
    "LoadMedicalImage",
    "LoadMedicalImaged",
    "RepeatGrayscaled",
    "ScaleFromUnitRanged",
    "ScaleToUnitRanged",
    "intensity_range",
]
