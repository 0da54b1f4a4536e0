# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The linear map from one image's intensities to another's."""

from __future__ import annotations

import numpy as np

__all__ = ["fit_gain_and_offset"]


def fit_gain_and_offset(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Find the gain and the offset that bring an image closest to its reference.

    Exposures of different length, or averages of normalized frames, differ by a gain and an offset that no denoiser can
    know. Fitted to each method's own result, by least squares; shrinking a noisy image toward its mean is part of such
    a fit, so that it raises the PSNR of a noisy image most.

    Args:
        image: of any shape.
        reference: of the same shape.

    Returns:
        The gain and the offset of ``gain * image + offset``; a gain of 0 for a constant image.
    """
    x, y = (np.asarray(values, np.float64).ravel() for values in (image, reference))
    centered = x - x.mean()
    power = float(np.square(centered).sum())
    gain = float(centered @ (y - y.mean())) / power if power > 0 else 0.0
    return gain, float(y.mean() - gain * x.mean())
