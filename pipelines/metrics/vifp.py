# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""VIFP: visual information fidelity in the pixel domain."""

from __future__ import annotations

import torch

from .base import DataRangeMetric, to_float64

__all__ = ["VIFPMetric"]

_WINDOWS = (17, 9, 5, 3)
SMALLEST_SIDE = 41  # leaves one window at the fourth scale
_NOISE_VARIANCE = 2.0  # of the eye, in gray levels squared of 0..255
_EPS = 1e-10
# Gray levels squared of 0..255: a quarter of one step of 16 bit, above the rounding of float32.
_FLAT_VARIANCE = 1e-6


class VIFPMetric(DataRangeMetric):
    """Visual information fidelity in the pixel domain, with the clean image as the reference.

    The share of the reference's information, as the eye perceives it, that the prediction keeps: 1 for identical
    images, toward 0 as noise or blur removes information; contrast enhancement can exceed 1. Higher is better. Sheikh
    and Bovik, "Image information and visual quality", IEEE Transactions on Image Processing 15(2), 2006, in the pixel
    domain as the authors' ``vifp_mscale``: four scales, Gaussian windows of 17, 9, 5 and 3 pixels with sigma = N/5, a
    noise variance of 2 on 0..255. Equal to ``sewar.vifp(y, y_pred)`` on 0..255, mean over channels. ``piq.vif_p`` (of
    the luminance) and ``pyiqa``'s ``vif`` (of wavelets) are other metrics.

    Inputs are ``(B, C, H, W)`` tensors or lists of ``(C, H, W)`` tensors, whose sizes may differ, of any real type. The
    metric is blind to a constant shift of all gray levels.

    Deviations from the reference code: images are scaled to 0..255 by ``data_range``, since the noise variance is
    absolute (for scikit-image's ``camera`` under noise of 25, the unscaled code silently reads 1.01 on 0..1, and 0.20
    on 0..255). And a channel whose reference is flat (no window's variance reaches 1e-6 gray levels squared of 0..255),
    where that code divides 0 by 0 or by rounding errors, gives the mean over all windows of ``2 / (2 + v)``, ``v``
    being the prediction's variance in the window. This is the limit of the formula for a vanishing detail that the
    prediction keeps in full under its own fluctuation: 1 where the prediction is flat as well, at any level, toward 0
    as it fluctuates.

    Above that threshold nothing is changed, so a noisy prediction of a nearly flat reference gives the same value as
    the reference code, which can be far above 1 (about 3 for a background of standard deviation 0.1 under noise of 25
    on 0..255, about 300 for 0.01). Look at the values of the images before averaging over near-empty ones.

    Args:
        data_range: the distance from black to white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction, get_not_nans: as in :class:`monai.metrics.regression.RegressionMetric`.

    Raises:
        ValueError: when ``data_range`` is not positive and finite. When called: for inputs of unequal shapes, without
            exactly two spatial axes, or with a side below 41 pixels, which leaves the fourth scale no window.

    Example::

        metric = VIFPMetric(data_range=1.0)
        metric(y_pred=denoised, y=clean)  # (B, 1) float32, one value per image
        mean = metric.aggregate().item()
    """

    def _compute_metric(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if y.ndim != 4:
            raise ValueError(f"VIFP needs images with two spatial axes, (B, C, H, W), got the shape {tuple(y.shape)}.")
        if min(y.shape[-2:]) < SMALLEST_SIDE:
            height, width = y.shape[-2:]
            raise ValueError(
                f"VIFP needs images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got {height} x {width}."
            )
        # float64, because variances as differences of squares would drown in float32's rounding where images are
        # smooth. Centered for the same reason: variances do not change, and those of a flat image are exactly 0.
        reference, prediction = (
            x - x.mean((-2, -1), keepdim=True) for x in (to_float64(x) * (255 / self.data_range) for x in (y, y_pred))
        )
        fidelity = _vifp_of_channels(reference, prediction).mean(1, keepdim=True)
        return fidelity.to(device=y_pred.device, dtype=torch.float32)


def _vifp_of_channels(reference: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
    """VIFP of each channel: two centered float64 ``(B, C, H, W)`` tensors of 0..255 units to ``(B, C)``."""
    kept = seen = survival = windows = 0
    flat = torch.ones(reference.shape[:2], dtype=torch.bool, device=reference.device)
    for scale, size in enumerate(_WINDOWS):
        if scale:
            reference, prediction = (_smooth(x, size)[..., ::2, ::2] for x in (reference, prediction))
        var_r, var_p, cov = _moments(reference, prediction, size)
        flat &= var_r.amax((-2, -1)) < _FLAT_VARIANCE
        survival += (_NOISE_VARIANCE / (_NOISE_VARIANCE + var_p)).sum((-2, -1))
        windows += var_p.shape[-2] * var_p.shape[-1]

        # The prediction as gain x reference + noise, window by window. Where it is inverted, or the reference is flat
        # (var_r ~ 0), it carries none of the reference's information. The reference code's other cases all follow from
        # gain = 0.
        gain = (cov / (var_r + _EPS)).clamp(min=0).masked_fill(var_r < _EPS, 0)
        noise = (var_p - gain * cov).clamp(min=0)
        kept += torch.log1p(gain**2 * var_r / (noise + _NOISE_VARIANCE)).sum((-2, -1))
        seen += torch.log1p(var_r / _NOISE_VARIANCE).sum((-2, -1))
    return torch.where(flat, survival / windows, kept / seen)


def _moments(x: torch.Tensor, y: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Variances of ``x`` and ``y`` and their covariance under a Gaussian window."""
    mean_x, mean_y, square_x, square_y, product = _smooth(torch.stack((x, y, x * x, y * y, x * y)), size)
    return (
        (square_x - mean_x**2).clamp(min=0),
        (square_y - mean_y**2).clamp(min=0),
        product - mean_x * mean_y,
    )


def _smooth(x: torch.Tensor, size: int) -> torch.Tensor:
    """Gaussian filter over the last two axes, only where the window lies inside the image.

    Sums of shifted copies, one axis after the other: equal to a convolution and, in float64, where ``conv2d`` unfolds
    the image, many times faster and without its memory.
    """
    offsets = [i - size // 2 for i in range(size)]
    window = torch.exp(-(torch.tensor(offsets, dtype=torch.float64) ** 2) / (2 * (size / 5) ** 2))
    first, *rest = (window / window.sum()).tolist()
    for axis in (-2, -1):
        length = x.shape[axis] - size + 1
        total = x.narrow(axis, 0, length) * first
        for shift, weight in enumerate(rest, start=1):
            total.add_(x.narrow(axis, shift, length), alpha=weight)
        x = total
    return x
