# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PSNR that stays finite for identical images."""

from __future__ import annotations

import torch
from monai.metrics import PSNRMetric
from monai.utils import MetricReduction

from .base import check_positive, to_float64

__all__ = ["CappedPSNRMetric"]


class CappedPSNRMetric(PSNRMetric):
    """Peak signal-to-noise ratio of each image in dB, ``10 log10(max_val^2 / MSE)``, at most ``cap``.

    Like :class:`monai.metrics.PSNRMetric`, except that identical images give ``cap`` instead of infinity, which would
    make every mean infinite. Higher values are limited to ``cap`` as well, so that no image ranks above an identical
    one. Higher is better. Each image has its own PSNR: the mean of the PSNRs is not the PSNR of the mean MSE.

    Inputs are ``(B, C, *spatial)`` tensors or lists of ``(C, *spatial)`` tensors, whose sizes may differ. Computed in
    float64, so that the differences of integer images do not wrap around.

    Args:
        max_val: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how ``aggregate`` reduces the values of the images, as in
            :class:`monai.metrics.regression.RegressionMetric`.
        get_not_nans: whether ``aggregate`` also returns the count of values that are not NaN.
        cap: the largest value in dB.

    Raises:
        ValueError: when ``max_val`` or ``cap`` is not positive and finite. When called: for inputs of unequal shapes.

    Example::

        metric = CappedPSNRMetric(max_val=1.0)
        metric(y_pred=denoised, y=clean)  # (B, 1) float32, one value per image
        mean, capped = metric.aggregate().item(), metric.capped
    """

    def __init__(
        self,
        max_val: int | float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
        cap: float = 100.0,
    ) -> None:
        super().__init__(max_val=check_positive("max_val", max_val), reduction=reduction, get_not_nans=get_not_nans)
        self.cap = check_positive("cap", cap)

    @property
    def capped(self) -> int:
        """How many images since the last ``reset`` reached the cap.

        It counts the values of all processes of a distributed run; as with ``get_buffer``, every process must call it.
        """
        values = self.get_buffer()
        return 0 if values is None else int((values >= values.new_tensor(self.cap)).sum())

    def _compute_metric(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        psnr = super()._compute_metric(to_float64(y_pred), to_float64(y))
        return psnr.to(device=y_pred.device, dtype=torch.float32).clamp(max=self.cap)
