# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Image metrics that MONAI lacks or defines differently, the table of scores, and their Ignite handlers."""

from .delta_e import DeltaEMetric, ciede2000, rgb_to_lab
from .handlers import (
    VIFP,
    CappedPeakSignalToNoiseRatio,
    DeltaE,
    StructuralSimilarity,
    evaluation_metrics,
    metric_handler,
)
from .psnr import CappedPSNRMetric
from .scores import PSNR_CAP, SCORES, Score
from .ssim import WangSSIMMetric
from .vifp import VIFPMetric

__all__ = [
    "CappedPSNRMetric",
    "CappedPeakSignalToNoiseRatio",
    "DeltaE",
    "DeltaEMetric",
    "PSNR_CAP",
    "SCORES",
    "Score",
    "StructuralSimilarity",
    "VIFP",
    "VIFPMetric",
    "WangSSIMMetric",
    "ciede2000",
    "evaluation_metrics",
    "metric_handler",
    "rgb_to_lab",
]
