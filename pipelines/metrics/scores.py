# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The five figures of merit: how they are computed, named, ordered and printed."""

from __future__ import annotations

from dataclasses import dataclass

from monai.handlers import MeanSquaredError, from_engine
from monai.handlers.ignite_metric import IgniteMetricHandler

from .handlers import VIFP, CappedPeakSignalToNoiseRatio, DeltaE, StructuralSimilarity

__all__ = ["PSNR_CAP", "SCORES", "Score", "evaluation_metrics"]

PSNR_CAP = 100.0
"""dB that identical images get."""


@dataclass(frozen=True)
class Score:
    """One figure of merit.

    Attributes:
        title: what tables call it, with its unit.
        digits: decimals in printed tables.
        higher_is_better: its direction.
    """

    title: str
    digits: int
    higher_is_better: bool


SCORES: dict[str, Score] = {
    "psnr": Score("PSNR (dB)", 2, True),
    "ssim": Score("SSIM", 4, True),
    "delta_e": Score("Delta E", 2, False),
    "vifp": Score("VIFP", 4, True),
    "mse": Score("MSE", 2, False),
}
"""The paper's figures of merit, by their column in ``scores.csv``."""


def evaluation_metrics() -> dict[str, IgniteMetricHandler]:
    """The metrics of all tables, on images of 0..255.

    Returns:
        For each name in :data:`SCORES` a new Ignite metric over ``pred`` and ``label`` of an engine's output: PSNR (at
        most 100 dB), SSIM with Wang's window, CIEDE2000, VIFP and MSE.
    """
    compared = from_engine(["pred", "label"])
    return {
        "psnr": CappedPeakSignalToNoiseRatio(max_val=255, cap=PSNR_CAP, output_transform=compared),
        "ssim": StructuralSimilarity(data_range=255, output_transform=compared),
        "delta_e": DeltaE(data_range=255, output_transform=compared),
        "vifp": VIFP(data_range=255, output_transform=compared),
        "mse": MeanSquaredError(output_transform=compared),
    }
