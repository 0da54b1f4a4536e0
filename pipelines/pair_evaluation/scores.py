# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of one denoised image against its reference."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..metrics import SCORES

__all__ = ["PAIR_SCORES", "edge_slope", "residual_noise", "score_pair"]

PAIR_SCORES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "residual_noise": "residual noise",
    "edges": "edges",
    "bias_dark": "bias, dark",
    "bias_bright": "bias, bright",
}
"""The scores by name, with their titles. Residual noise and bias are in gray levels of 255."""

SMOOTHING = 1.5
FLAT_SHARE = 0.3
EDGE_SHARE = 0.05
DARK, BRIGHT = 0.1, 0.9


def score_pair(image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Score one image.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)`` with an intensity range of [0, 1].
        reference: of the same shape. Its own noise counts as an error of the image.

    Returns:
        The scores in :data:`PAIR_SCORES`. The bias is the mean error in the darkest and in the brightest tenth of the
        smoothed reference.
    """
    image, reference = (np.asarray(values, np.float64) for values in (image, reference))
    pair = [_as_batch(values) for values in (image, reference)]
    scores = {name: float(SCORES[name].metric(1.0)(*pair).mean()) for name in ("psnr", "ssim")}
    gray, reference = _gray(image), _gray(reference)
    error, smooth = 255 * (gray - reference), ndimage.gaussian_filter(reference, SMOOTHING)
    dark, bright = np.quantile(smooth, (DARK, BRIGHT))
    return {
        **scores,
        "residual_noise": residual_noise(gray, reference),
        "edges": edge_slope(gray, reference),
        "bias_dark": float(error[smooth <= dark].mean()),
        "bias_bright": float(error[smooth >= bright].mean()),
    }


def residual_noise(image: np.ndarray, reference: np.ndarray) -> float:
    """The standard deviation of the error where the reference is flat, in gray levels of 255.

    Args:
        image: ``(H, W)``, [0, 1].
        reference: of the same shape; flat is the three tenths of its pixels where it is least steep.
    """
    steepness = ndimage.gaussian_gradient_magnitude(reference, SMOOTHING)
    flat = steepness <= np.quantile(steepness, FLAT_SHARE)
    return 255 * float((image - reference)[flat].std())


def edge_slope(image: np.ndarray, reference: np.ndarray) -> float:
    """The slope of an image's edges relative to its reference: 1 if they are as steep, below 1 if they are blurred.

    On the steepest twentieth of the reference, this is the regression of the image's gradient on the reference's. Noise
    in the image does not change it on average. (Sharpness of CT in HU, apart from the object's own, is measured by
    ``noisewise low-dose-ct``.)

    Args:
        image: ``(H, W)``.
        reference: of the same shape.

    Returns:
        The slope; NaN for a constant reference.
    """
    own, expected = (
        np.stack([ndimage.gaussian_filter(values, 1.0, order=order) for order in ((1, 0), (0, 1))])
        for values in (image, reference)
    )
    steepness = np.square(expected).sum(0)
    steep = steepness >= np.quantile(steepness, 1 - EDGE_SHARE)
    total = steepness[steep].sum()
    return float((own * expected).sum(0)[steep].sum() / total) if total > 0 else float("nan")


def _gray(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 2 else values.mean(-1)


def _as_batch(values: np.ndarray) -> torch.Tensor:
    channels = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    return torch.from_numpy(np.ascontiguousarray(channels))[None]
