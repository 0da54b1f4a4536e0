# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers of the scores, as MONAI has them for its own metrics (``monai.handlers.regression_metrics``).

Configs and evaluations use :func:`metric_handler`, which takes a score by its name. The classes are for code that
builds handlers one by one: with MONAI's engines, ``output_transform=monai.handlers.from_engine(["pred", "label"])``
selects the predictions and the references, whether the engine decollates its batches or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from monai.handlers import from_engine
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric
from monai.utils import MetricReduction

from ...transforms.noise_models import check_choice
from .delta_e import DeltaEMetric
from .psnr import CappedPSNRMetric
from .scores import SCORES
from .ssim import WangSSIMMetric
from .vifp import VIFPMetric

__all__ = [
    "CappedPeakSignalToNoiseRatio",
    "DeltaE",
    "StructuralSimilarity",
    "VIFP",
    "evaluation_metrics",
    "metric_handler",
]


def metric_handler(
    name: str,
    data_range: float = 255.0,
    output: str = "pred",
    reduction: MetricReduction | str = MetricReduction.MEAN,
    save_details: bool = True,
) -> IgniteMetricHandler:
    """Make the Ignite handler of a score, for engines of MONAI.

    Args:
        name: a name in :data:`~noisewise.pipelines.metrics.SCORES`.
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        output: the key of the engine's output that is compared with ``label``.
        reduction: how the values of the images are reduced over the run.
        save_details: whether to leave the value of every image in ``engine.state.metric_details``, ``(N, 1)``.

    Returns:
        The handler.

    Raises:
        ValueError: when the name is unknown or ``data_range`` is not positive and finite.
    """
    check_choice("score", name, SCORES)
    metric = SCORES[name].metric(data_range, reduction=reduction)
    return IgniteMetricHandler(metric, output_transform=from_engine([output, "label"]), save_details=save_details)


def evaluation_metrics() -> dict[str, IgniteMetricHandler]:
    """Make the handlers of all scores, on images of 0..255.

    Returns:
        For each name in :data:`~noisewise.pipelines.metrics.SCORES` a new handler that compares ``pred`` with
        ``label``.
    """
    return {name: metric_handler(name) for name in SCORES}


class _MetricHandler(IgniteMetricHandler):
    """The handler of one metric class, with the arguments that MONAI's handlers have."""

    metric_class: ClassVar[type[CumulativeIterationMetric]]

    def __init__(
        self,
        data_range: float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
        **options: Any,
    ) -> None:
        metric = self.metric_class(data_range, reduction=reduction, **options)
        super().__init__(metric, output_transform=output_transform, save_details=save_details)


class DeltaE(_MetricHandler):
    """Computes the CIEDE2000 color difference of each image and reduces it over the run; lower is better.

    Args:
        data_range: the value of full white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction: how the values of the images are reduced.
        output_transform: returns ``(y_pred, y)`` from the engine's output, as :class:`DeltaEMetric` takes them.
        save_details: whether to leave the value of every image in ``engine.state.metric_details``, ``(N, 1)``.

    Raises:
        ValueError: when ``data_range`` is not positive and finite; in the run, as :class:`DeltaEMetric`.
    """

    metric_class = DeltaEMetric


class VIFP(_MetricHandler):
    """Computes the visual information fidelity of each image and reduces it over the run; higher is better.

    The arguments are those of :class:`DeltaE`; see :class:`VIFPMetric`.
    """

    metric_class = VIFPMetric


class StructuralSimilarity(_MetricHandler):
    """Computes the SSIM of each image with Wang's settings and reduces it over the run; higher is better.

    The arguments are those of :class:`DeltaE`; see :class:`WangSSIMMetric`.
    """

    metric_class = WangSSIMMetric


class CappedPeakSignalToNoiseRatio(_MetricHandler):
    """Computes the PSNR of each image in dB, at most ``cap``, and reduces it over the run; higher is better.

    The further arguments are those of :class:`DeltaE`; see :class:`CappedPSNRMetric`.

    Args:
        max_val: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        cap: the largest value in dB, and that of identical images.
    """

    metric_class = CappedPSNRMetric

    def __init__(
        self,
        max_val: int | float,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
        cap: float = 100.0,
    ) -> None:
        super().__init__(max_val, reduction, output_transform, save_details, cap=cap)

    @property
    def capped(self) -> int:
        """How many images of the last run reached the cap; see :attr:`CappedPSNRMetric.capped`."""
        return self.metric_fn.capped
