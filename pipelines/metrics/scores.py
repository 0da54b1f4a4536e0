# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of denoised images: one row of a table each, with the metric that computes it.

To add a score, write its metric class and add a row to :data:`SCORES`. Evaluations, tables and the training's
validation find it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monai.metrics import CumulativeIterationMetric, MSEMetric

from .delta_e import DeltaEMetric
from .psnr import CappedPSNRMetric
from .ssim import WangSSIMMetric
from .vifp import VIFPMetric

__all__ = ["PSNR_CAP", "SCORES", "Score"]

PSNR_CAP = 100.0
"""The PSNR in dB of identical images."""


@dataclass(frozen=True)
class Score:
    """One score of a denoised image.

    Attributes:
        title: its name in tables, with its unit.
        digits: decimals in printed tables.
        higher_is_better: its direction.
        metric: makes the metric: takes the data range (the distance from black to white), and as keywords
            ``reduction`` and ``get_not_nans`` as in :class:`monai.metrics.regression.RegressionMetric`.
    """

    title: str
    digits: int
    higher_is_better: bool
    metric: Callable[..., CumulativeIterationMetric]


def _mean_squared_error(data_range: float, **options: Any) -> MSEMetric:
    """The squared error is in squared units of the images, whatever their range."""
    return MSEMetric(**options)


SCORES: dict[str, Score] = {
    "psnr": Score("PSNR (dB)", 2, True, CappedPSNRMetric),
    "ssim": Score("SSIM", 4, True, WangSSIMMetric),
    "delta_e": Score("Delta E", 2, False, DeltaEMetric),
    "vifp": Score("VIFP", 4, True, VIFPMetric),
    "mse": Score("MSE", 2, False, _mean_squared_error),
}
"""The scores by their column in ``scores.csv``: first the paper's five, then any others."""
