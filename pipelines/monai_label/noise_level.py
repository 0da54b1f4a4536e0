# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise level of an image, on a scale that is the same for all modalities."""

from __future__ import annotations

import os

import numpy as np
from skimage.restoration import estimate_sigma

from .images import black_and_white, read_image
from .options import request_settings

__all__ = ["noise_level"]

SLICES = 5
GRAY_LEVELS = 255.0


def noise_level(path: str | os.PathLike) -> float:
    """Estimate an image's noise: the median absolute deviation of its finest wavelet details.

    Args:
        path: a file, or a folder that holds one DICOM series.

    Returns:
        The standard deviation in gray levels (0..255) of the intensity range that denoising would take. For a volume,
        this is the median over a few slices of its middle half.

    Raises:
        ValueError: if it is not an image that can be denoised.
    """
    image = read_image(path)
    limits = black_and_white(image, path, request_settings({}))
    if limits is None:
        return 0.0
    # Gray slices of all channels.
    volume = image.numpy() if image.ndim == 4 else image.numpy()[..., None]
    depth = volume.shape[-1]
    chosen = np.unique(np.linspace(depth // 4, max(depth // 4, depth - 1 - depth // 4), SLICES).round().astype(int))
    levels = [_sigma(channel[..., index]) for channel in volume for index in chosen]
    return float(np.median(levels)) * GRAY_LEVELS / (limits[1] - limits[0])


def _sigma(plane: np.ndarray) -> float:
    # The estimate leaves out details that are 0, as in padding, and fails for a plane without other details.
    if min(plane.shape) < 2 or np.ptp(plane) == 0:
        return 0.0
    sigma = estimate_sigma(plane.astype(np.float64))
    return float(sigma) if np.isfinite(sigma) else 0.0
