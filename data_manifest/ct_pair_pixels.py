# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the pixels of a pair of low-dose and full-dose CT slices.

The rules, each with its limit as a constant: values are Hounsfield units; the body is not cut by the edge of the field
of view; no metal; soft tissue enough to measure noise in, and more noise in the low-dose image than in the full-dose
one.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .ct_pairs import CTPair
from .manifest import Problem

__all__ = ["pixel_problem", "soft_tissue_noise"]

HU_LIMITS = (-1100.0, 4000.0)
LARGEST_SHARE_BEYOND = 0.01
# Denser than bone, and next to the end of a 12-bit scale (3071 HU). Contrast agent in the bowel reaches it in a few
# pixels (up to 9 in real pairs of the 2016 challenge), a pacemaker in more (52).
METAL_HU = 3000.0
METAL_PIXELS = 10
BODY_HU = -500.0
# The sheets of the couch, which are not body, are thinner than twice this many pixels.
COUCH_PIXELS = 3
# Arms, hips and wide shoulders touch the edge in many good scans: 5 % would leave out half of the 2016 challenge.
LARGEST_CUT_SHARE = 0.15
SOFT_TISSUE_HU = (-150.0, 250.0)
SMOOTHING_PIXELS = 2.0
LEAST_SOFT_SHARE = 0.01
MAD_TO_STD = 1.4826


def pixel_problem(
    pair: CTPair, low: np.ndarray, full: np.ndarray, metal: bool = False, truncated: bool = False
) -> Problem | None:
    """Find what makes the pixels of a pair unusable.

    Args:
        pair: the pair.
        low: the low-dose image in HU, ``(H, W)`` or ``(W, H)``.
        full: the full-dose image, of the same shape.
        metal: take images with metal.
        truncated: take images in which the field of view cuts the body.

    Returns:
        The first cause found; None for a good pair.
    """
    for slice_, image in ((pair.low, low), (pair.full, full)):
        cause = _unit_cause(image[~_padding(image, slice_.padding)])
        if cause is not None:
            return Problem("not Hounsfield units", str(slice_.path), cause)
    # Anatomy is judged by the image with less noise.
    count = int((full >= METAL_HU).sum())
    if count > METAL_PIXELS and not metal:
        return Problem("metal", str(pair.full.path), f"{count} pixels of {METAL_HU:g} HU or more; --metal takes it.")
    share = _cut_share(full, _padding(full, pair.full.padding))
    if share > LARGEST_CUT_SHARE and not truncated:
        cause = f"{100 * share:.0f} % of the field of view's edge lies in the body; --truncated takes it."
        return Problem("truncated", str(pair.full.path), cause)
    noise = soft_tissue_noise(low, full)
    if noise is None:
        return Problem("empty", str(pair.low.path), "too little soft tissue to measure noise in.")
    if noise[0] <= noise[1]:
        cause = (
            f"swapped? Its noise of {noise[0]:.1f} HU in soft tissue is not above the {noise[1]:.1f} HU of its "
            f"full-dose partner {pair.full.path}."
        )
        return Problem("swapped doses", str(pair.low.path), cause)
    return None


def soft_tissue_noise(low: np.ndarray, full: np.ndarray) -> tuple[float, float] | None:
    """Standard deviation of the noise of two images of one place, above the smooth anatomy of soft tissue.

    Both are measured over the same pixels: those around which the full-dose image, smoothed, is soft tissue.

    Args:
        low: one image in HU.
        full: the other one; it tells where soft tissue is.

    Returns:
        The noise of ``low`` and of ``full`` in HU; None when less than 1 % of the image is soft tissue.
    """
    smooth = ndimage.gaussian_filter(full, SMOOTHING_PIXELS)
    tissue = (smooth >= SOFT_TISSUE_HU[0]) & (smooth <= SOFT_TISSUE_HU[1])
    tissue = ndimage.binary_erosion(tissue, iterations=round(SMOOTHING_PIXELS))
    if tissue.mean() < LEAST_SOFT_SHARE:
        return None
    return _noise(low, ndimage.gaussian_filter(low, SMOOTHING_PIXELS), tissue), _noise(full, smooth, tissue)


def _noise(image: np.ndarray, smooth: np.ndarray, tissue: np.ndarray) -> float:
    # By the median, so that vessels and the edges of organs count little.
    residual = (image - smooth)[tissue]
    return MAD_TO_STD * float(np.median(np.abs(residual - np.median(residual))))


def _padding(image: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    return np.zeros(image.shape, bool) if limits is None else (image >= limits[0]) & (image <= limits[1])


def _unit_cause(values: np.ndarray) -> str | None:
    """Why values cannot be Hounsfield units."""
    if not values.size:
        return "all of it is padding."
    if values.min() >= 0:
        return f"no value is below 0 HU, the least is {values.min():g}."
    share = float(((values < HU_LIMITS[0]) | (values > HU_LIMITS[1])).mean())
    if share > LARGEST_SHARE_BEYOND:
        return f"{100 * share:.0f} % of the values lie beyond {HU_LIMITS[0]:g} to {HU_LIMITS[1]:g} HU."
    return None


def _cut_share(image: np.ndarray, padding: np.ndarray) -> float:
    """The share of the field's edge (image border, or next to padding) that lies in the largest body."""
    body = ndimage.binary_opening(image > BODY_HU, iterations=COUCH_PIXELS)
    labels, count = ndimage.label(body)
    if not count:
        return 0.0
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    edge = ~padding & ~ndimage.binary_erosion(~padding, np.ones((3, 3)))
    return float(largest[edge].mean())
