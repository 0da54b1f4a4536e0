# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""SSIM with Wang's settings."""

from __future__ import annotations

from monai.metrics import SSIMMetric
from monai.utils import MetricReduction

from .base import check_positive

__all__ = ["WangSSIMMetric"]


class WangSSIMMetric(SSIMMetric):
    """Structural similarity of each image, with the settings of its authors.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13(4), 2004: 11 x 11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03,
    population covariance, windows inside the image only, mean over channels. Higher is better. Equal to
    ``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``; the
    7 x 7 uniform window that scikit-image uses by default differs by about 0.01.

    Inputs are ``(B, C, H, W)`` tensors or lists of ``(C, H, W)`` tensors, whose sizes may differ, of 11 pixels a side
    or more.

    Args:
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how ``aggregate`` reduces the values of the images, as in
            :class:`monai.metrics.regression.RegressionMetric`.
        get_not_nans: whether ``aggregate`` also returns the count of values that are not NaN.

    Raises:
        ValueError: when ``data_range`` is not positive and finite. When called: as :class:`monai.metrics.SSIMMetric`.
    """

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(
            spatial_dims=2,
            data_range=check_positive("data_range", data_range),
            kernel_type="gaussian",
            win_size=11,
            kernel_sigma=1.5,
            k1=0.01,
            k2=0.03,
            reduction=reduction,
            get_not_nans=get_not_nans,
        )
