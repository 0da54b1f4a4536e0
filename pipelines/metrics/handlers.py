# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers of the image metrics, as MONAI has them for its own (``monai.handlers.regression_metrics``).

With MONAI's engines, ``output_transform=monai.handlers.from_engine(["pred", "label"])`` picks the predictions and the
references, whether the engine decollates its batches or not.
"""

from __future__ import annotations

from collections.abc import Callable

from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.metrics import SSIMMetric
from monai.utils import MetricReduction

from .base import check_positive
from .delta_e import DeltaEMetric
from .psnr import CappedPSNRMetric
from .vifp import VIFPMetric

__all__ = ["CappedPeakSignalToNoiseRatio", "DeltaE", "StructuralSimilarity", "VIFP"]


class DeltaE(IgniteMetricHandler):
    """Computes the CIEDE2000 colour difference of each image and reduces it over the run; lower is better.

    Args:
        data_range: the value of full white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how the values of the images are reduced.
        output_transform: gives ``(y_pred, y)`` of the engine's output: batches ``(B, 1 or 3, *spatial)`` or lists of
            ``(1 or 3, *spatial)`` tensors.
        save_details: whether the value of every image is left in ``engine.state.metric_details``, ``(N, 1)``.

    Raises:
        ValueError: when ``data_range`` is not positive and finite; in the run, as :class:`DeltaEMetric`.

    See also:
        :class:`noisewise.pipelines.metrics.DeltaEMetric`
    """

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
    ) -> None:
        metric_fn = DeltaEMetric(data_range=data_range, reduction=reduction)
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)


class VIFP(IgniteMetricHandler):
    """Computes the visual information fidelity of each image and reduces it over the run; higher is better.

    Args:
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how the values of the images are reduced.
        output_transform: gives ``(y_pred, y)`` of the engine's output: batches ``(B, C, H, W)`` or lists of
            ``(C, H, W)`` tensors, 41 pixels a side or more.
        save_details: whether the value of every image is left in ``engine.state.metric_details``, ``(N, 1)``.

    Raises:
        ValueError: when ``data_range`` is not positive and finite; in the run, as :class:`VIFPMetric`.

    See also:
        :class:`noisewise.pipelines.metrics.VIFPMetric`
    """

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
    ) -> None:
        metric_fn = VIFPMetric(data_range=data_range, reduction=reduction)
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)


class CappedPeakSignalToNoiseRatio(IgniteMetricHandler):
    """Computes the PSNR of each image in dB, at most ``cap``, and reduces it over the run; higher is better.

    Args:
        max_val: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how the values of the images are reduced.
        output_transform: gives ``(y_pred, y)`` of the engine's output: batches ``(B, C, *spatial)`` or lists of
            ``(C, *spatial)`` tensors.
        save_details: whether the value of every image is left in ``engine.state.metric_details``, ``(N, 1)``.
        cap: the largest value in dB, and that of identical images.

    Raises:
        ValueError: when ``max_val`` or ``cap`` is not positive and finite; in the run, as :class:`CappedPSNRMetric`.

    See also:
        :class:`noisewise.pipelines.metrics.CappedPSNRMetric`
    """

    def __init__(
        self,
        max_val: int | float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
        cap: float = 100.0,
    ) -> None:
        metric_fn = CappedPSNRMetric(max_val=max_val, reduction=reduction, cap=cap)
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)

    @property
    def capped(self) -> int:
        """How many images of the last run reached the cap; see :attr:`CappedPSNRMetric.capped`."""
        return self.metric_fn.capped


class StructuralSimilarity(IgniteMetricHandler):
    """Computes the SSIM of each image with Wang's settings and reduces it over the run; higher is better.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13(4), 2004: 11 x 11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03,
    population covariance, windows inside the image only, mean over channels. Equal to
    ``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``; the
    7 x 7 uniform window that scikit-image takes by default differs by about 0.01.

    Args:
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how the values of the images are reduced.
        output_transform: gives ``(y_pred, y)`` of the engine's output: batches ``(B, C, H, W)`` or lists of
            ``(C, H, W)`` tensors, 11 pixels a side or more.
        save_details: whether the value of every image is left in ``engine.state.metric_details``, ``(N, 1)``.

    Raises:
        ValueError: when ``data_range`` is not positive and finite; in the run, as :class:`monai.metrics.SSIMMetric`.

    See also:
        :class:`monai.metrics.SSIMMetric`
    """

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
    ) -> None:
        metric_fn = SSIMMetric(
            spatial_dims=2,
            data_range=check_positive("data_range", data_range),
            kernel_type="gaussian",
            win_size=11,
            kernel_sigma=1.5,
            k1=0.01,
            k2=0.03,
            reduction=reduction,
        )
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=save_details)
