# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The base of the metrics that scale images by their data range, and the checks of their arguments."""

from __future__ import annotations

import math

import torch
from monai.metrics.regression import RegressionMetric
from monai.utils import MetricReduction

__all__ = ["DataRangeMetric", "check_positive", "to_float64"]


class DataRangeMetric(RegressionMetric):
    """Base of metrics that need to know the distance from black to white.

    Args:
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how ``aggregate`` reduces the values of the images, as in
            :class:`monai.metrics.regression.RegressionMetric`.
        get_not_nans: whether ``aggregate`` also returns the count of values that are not NaN.

    Raises:
        ValueError: when ``data_range`` is not positive and finite.
    """

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.data_range = check_positive("data_range", data_range)


def check_positive(name: str, value: float) -> float:
    """Check an argument that must be a positive finite number.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Returns:
        The value as a float.

    Raises:
        ValueError: when the value is zero, negative, infinite or NaN.
    """
    value = float(value)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value}.")
    return value


def to_float64(x: torch.Tensor) -> torch.Tensor:
    """Convert to a plain float64 tensor, on the same device where that device has float64.

    Args:
        x: any real tensor, including a :class:`monai.data.MetaTensor`.

    Returns:
        The same values in float64, without metadata. Apple's MPS has no float64; its tensors come back on the CPU.
    """
    # A MetaTensor would drag its metadata through every intermediate result.
    x = x.as_subclass(torch.Tensor)
    if x.device.type == "mps":
        x = x.cpu()
    return x.to(torch.float64)
