# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Image metrics that MONAI lacks or defines otherwise, and their Ignite handlers."""

from .delta_e import DeltaEMetric, ciede2000, rgb_to_lab
from .handlers import VIFP, CappedPeakSignalToNoiseRatio, DeltaE, StructuralSimilarity
from .psnr import CappedPSNRMetric
from .vifp import VIFPMetric

__all__ = [
    "CappedPSNRMetric",
    "CappedPeakSignalToNoiseRatio",
    "DeltaE",
    "DeltaEMetric",
    "StructuralSimilarity",
    "VIFP",
    "VIFPMetric",
    "ciede2000",
    "rgb_to_lab",
]
