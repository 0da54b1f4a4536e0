# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: reading, writing, intensities and noise. They know nothing of data sets or training."""

from .ct_projection import KERNELS, ParallelBeam, ReconstructionKernel
from .intensity import intensity_range
from .intensity_dictionary import (
    RepeatGrayscaled,
    ScaleFromUnitRanged,
    ScaleToUnitRanged,
    ToGrayLevelsd,
    ToGreyLevelsd,
)
from .intensity_outside import limit_outside
from .load import ImageReadError, LoadMedicalImage, LoadMedicalImaged, drop_equal_channels
from .low_dose import (
    AIR_HU,
    PHOTONS_PER_MA,
    LowDoseCT,
    LowDoseRecord,
    RandLowDoseCT,
    line_integrals,
    low_dose_noise,
)
from .low_dose_dictionary import (
    LineIntegralsD,
    LineIntegralsd,
    LineIntegralsDict,
    LowDoseCTD,
    LowDoseCTd,
    LowDoseCTDict,
    RandLowDoseCropD,
    RandLowDoseCropd,
    RandLowDoseCropDict,
)
from .noise import MultiPatternNoise, RandMultiPatternNoise
from .noise_color import COLORS, NoiseColor, unit_noise
from .noise_dictionary import (
    MultiPatternNoiseD,
    MultiPatternNoised,
    MultiPatternNoiseDict,
    RandMultiPatternNoiseD,
    RandMultiPatternNoised,
    RandMultiPatternNoiseDict,
)
from .noise_models import (
    NOISE_PROTOCOLS,
    PATTERNS,
    PROTOCOLS,
    NoisePlan,
    NoiseProtocol,
    NoiseRecord,
    derive_seed,
    simulate_noise,
)
from .pseudo_color import RandPseudoColorD, RandPseudoColord, RandPseudoColorDict
from .realistic_noise import RandRealisticNoise, RealisticNoise, simulate_realistic_noise
from .realistic_noise_dictionary import RandRealisticNoiseD, RandRealisticNoised, RandRealisticNoiseDict
from .save import SaveDenoisedd, denoised_path, save_like_input

__all__ = [
    "AIR_HU",
    "COLORS",
    "ImageReadError",
    "KERNELS",
    "LineIntegralsD",
    "LineIntegralsDict",
    "LineIntegralsd",
    "LoadMedicalImage",
    "LoadMedicalImaged",
    "LowDoseCT",
    "LowDoseCTD",
    "LowDoseCTDict",
    "LowDoseCTd",
    "LowDoseRecord",
    "MultiPatternNoise",
    "MultiPatternNoiseD",
    "MultiPatternNoiseDict",
    "MultiPatternNoised",
    "NOISE_PROTOCOLS",
    "NoiseColor",
    "NoisePlan",
    "NoiseProtocol",
    "NoiseRecord",
    "PATTERNS",
    "PHOTONS_PER_MA",
    "PROTOCOLS",
    "ParallelBeam",
    "RandLowDoseCT",
    "RandLowDoseCropD",
    "RandLowDoseCropDict",
    "RandLowDoseCropd",
    "RandMultiPatternNoise",
    "RandMultiPatternNoiseD",
    "RandMultiPatternNoiseDict",
    "RandMultiPatternNoised",
    "RandPseudoColorD",
    "RandPseudoColorDict",
    "RandPseudoColord",
    "RandRealisticNoise",
    "RandRealisticNoiseD",
    "RandRealisticNoiseDict",
    "RandRealisticNoised",
    "RealisticNoise",
    "ReconstructionKernel",
    "RepeatGrayscaled",
    "SaveDenoisedd",
    "ScaleFromUnitRanged",
    "ScaleToUnitRanged",
    "ToGrayLevelsd",
    "ToGreyLevelsd",
    "denoised_path",
    "derive_seed",
    "drop_equal_channels",
    "intensity_range",
    "limit_outside",
    "line_integrals",
    "low_dose_noise",
    "save_like_input",
    "simulate_noise",
    "simulate_realistic_noise",
    "unit_noise",
]
