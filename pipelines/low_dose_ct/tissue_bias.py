# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The shift of a tissue's HU values by denoising."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_slices

__all__ = ["tissue_bias"]


def tissue_bias(
    image: ArrayLike, reference: ArrayLike, masks: Mapping[str, np.ndarray], fewest_pixels: int = 100
) -> dict[str, float]:
    """Measure the mean HU difference in each tissue.

    Args:
        image: the slice to evaluate, ``(H, W)`` in HU.
        reference: the full-dose slice.
        masks: ``(H, W)`` bool arrays, as from :func:`noisewise.pipelines.low_dose_ct.tissue_masks`.
        fewest_pixels: a tissue with fewer pixels gives NaN, because its mean would be the noise of a few pixels.

    Returns:
        Mean of ``image - reference`` in HU under each mask's name; NaN for tissues that the slice hardly has.

    Raises:
        ValueError: when the shapes differ, or as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    image, reference = as_slices(image=image, reference=reference)
    difference = image - reference
    bias = {}
    for tissue, mask in masks.items():
        if mask.shape != image.shape:
            raise ValueError(f"The mask of {tissue} must have the slice's shape {image.shape}, got {mask.shape}.")
        pixels = difference[mask]
        bias[tissue] = float(pixels.mean()) if pixels.size >= max(1, fewest_pixels) else float("nan")
    return bias
