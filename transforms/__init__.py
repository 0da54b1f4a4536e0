# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: reading, writing, intensities and noise. They know nothing of data sets or training."""

from .intensity import RepeatGrayscaled, ScaleFromUnitRanged, ScaleToUnitRanged, ToGreyLevelsd, intensity_range
from .load import ImageReadError, LoadMedicalImage, LoadMedicalImaged, drop_equal_channels
from .noise import MultiPatternNoise, RandMultiPatternNoise
from .noise_dictionary import (
    MultiPatternNoiseD,
    MultiPatternNoised,
    MultiPatternNoiseDict,
    RandMultiPatternNoiseD,
    RandMultiPatternNoised,
    RandMultiPatternNoiseDict,
)
from .noise_models import PATTERNS, PROTOCOLS, NoiseRecord, derive_seed, simulate_noise
from .save import SaveDenoisedd, denoised_path, save_like_input

__all__ = [
    "PATTERNS",
    "PROTOCOLS",
    "ImageReadError",
    "LoadMedicalImage",
    "LoadMedicalImaged",
    "MultiPatternNoise",
    "MultiPatternNoiseD",
    "MultiPatternNoiseDict",
    "MultiPatternNoised",
    "NoiseRecord",
    "RandMultiPatternNoise",
    "RandMultiPatternNoiseD",
    "RandMultiPatternNoiseDict",
    "RandMultiPatternNoised",
    "RepeatGrayscaled",
    "SaveDenoisedd",
    "ScaleFromUnitRanged",
    "ScaleToUnitRanged",
    "ToGreyLevelsd",
    "denoised_path",
    "derive_seed",
    "drop_equal_channels",
    "intensity_range",
    "save_like_input",
    "simulate_noise",
]
