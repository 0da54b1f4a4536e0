# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""All scores of one denoised CT slice."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..metrics import SCORES
from ..metrics.base import check_positive
from .edges import edge_response, find_edges
from .inputs import as_slices
from .noise_power import residual_noise_std
from .regions import body_mask, flat_regions, tissue_masks
from .tissue_bias import tissue_bias

__all__ = ["body_rmse", "score_slice", "windowed"]

# Chest slices hold little flat soft tissue: few have room for regions of 32 pixels, nearly all for some of 24.
_FLAT_SIZE_PX = 24


def score_slice(
    denoised: ArrayLike,
    quarter: ArrayLike,
    full: ArrayLike,
    window: tuple[float, float] = (40.0, 400.0),
    spacing_mm: float = 0.7,
) -> dict[str, float]:
    """Score one denoised quarter-dose slice against the full dose.

    How to read the RMSE ratio: the full dose is not a clean image, it has its own noise of standard deviation s. The
    quarter dose is that slice with sqrt(3) s of additional noise, so its RMSE is sqrt(3) s. The noise-free truth
    differs from the full dose by s and therefore has a ratio of 1/sqrt(3) = 0.577. Only an image that keeps part of the
    noise has a lower ratio; keeping a quarter of it gives the lowest, 0.50. A ratio below 0.577 therefore does not mean
    that a slice is closer to the truth. Read it together with the remaining noise, the edges and the bias.

    PSNR, SSIM and VIF describe the slice as a reader sees it: both slices are clipped to the window, from
    ``center - width/2`` to ``center + width/2`` HU, over the whole image, and the window's width is the data range.

    Args:
        denoised: the quarter dose after denoising, ``(H, W)`` in HU.
        quarter: the quarter-dose slice.
        full: the full-dose slice, which also defines the body, the tissues, the flat regions and the edges.
        window: center and width in HU of the clinical window; (40, 400) is the abdomen's, (-600, 1500) the lung's.
        spacing_mm: pixel spacing; with 1, f50 is in cycles/pixel.

    Returns:
        Scores by name, NaN if the slice has no suitable region:

        - ``rmse_hu``, ``rmse_ratio``: over the body (full dose above -300 HU); the ratio to the quarter dose's RMSE.
        - ``noise_std_hu``, ``noise_std_quarter_hu``, ``noise_std_full_hu``: in the flat soft-tissue regions.
        - ``psnr_db``, ``ssim``, ``vif``: over the window, against the full dose.
        - ``bias_lung_hu``, ``bias_fat_hu``, ``bias_soft_tissue_hu``, ``bias_bone_hu``: mean minus the full dose's
          mean. A real quarter dose has its own bias, in bone up to 13 HU; to measure it, score it as ``denoised``.
        - ``f50_full``: of the full dose's edges, in cycles/mm.
        - ``edge_ratio``, ``edge_ratio_to_quarter``: f50 over the full dose's and over the quarter dose's.

    Raises:
        ValueError: when the shapes differ, slices are not finite or smaller than VIF's 41 pixels a side, the window's
            width or ``spacing_mm`` is not positive, or the full dose shows no body.
    """
    denoised, quarter, full = as_slices(denoised=denoised, quarter=quarter, full=full)
    check_positive("spacing_mm", spacing_mm)
    error, unprocessed = body_rmse(denoised, full), body_rmse(quarter, full)
    scores = {"rmse_hu": error, "rmse_ratio": error / unprocessed if unprocessed > 0 else math.nan}
    scores |= _noise(denoised, quarter, full)
    scores |= _picture(denoised, full, window)
    bias = tissue_bias(denoised, full, tissue_masks(full))
    scores |= {f"bias_{tissue}_hu": value for tissue, value in bias.items()}
    return scores | _sharpness(denoised, quarter, full, spacing_mm)


def body_rmse(image: ArrayLike, full: ArrayLike) -> float:
    """Compute the root mean square difference from the full dose over the body.

    Args:
        image: ``(H, W)`` in HU.
        full: the full-dose slice; the body is where it is above -300 HU.

    Returns:
        The RMSE in HU.

    Raises:
        ValueError: when the shapes differ, slices are not finite, or the full dose shows no body.
    """
    image, full = as_slices(image=image, full=full)
    body = body_mask(full)
    if not body.any():
        raise ValueError("The full-dose slice shows no body: nothing is above -300 HU.")
    return float(np.sqrt(np.mean((image - full)[body] ** 2)))


def windowed(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Apply a clinical window to a slice.

    Args:
        image: any shape, in HU.
        window: center and width in HU.

    Returns:
        The image in float64, clipped to the window: 0 at its lower end, 1 at its upper end.

    Raises:
        ValueError: when the width is not positive.
    """
    center, width = window
    check_positive("The window's width", width)
    return np.clip((np.asarray(image, dtype=np.float64) - center) / width + 0.5, 0, 1)


def _noise(denoised: np.ndarray, quarter: np.ndarray, full: np.ndarray) -> dict[str, float]:
    slices = {"noise_std_hu": denoised, "noise_std_quarter_hu": quarter, "noise_std_full_hu": full}
    regions = flat_regions(full, size=_FLAT_SIZE_PX)
    return {name: residual_noise_std(image, regions) if regions else math.nan for name, image in slices.items()}


def _picture(denoised: np.ndarray, full: np.ndarray, window: tuple[float, float]) -> dict[str, float]:
    names = {"psnr_db": "psnr", "ssim": "ssim", "vif": "vifp"}
    shown, reference = (torch.from_numpy(windowed(image, window))[None, None] for image in (denoised, full))
    return {column: float(SCORES[name].metric(1.0)(shown, reference)) for column, name in names.items()}


def _sharpness(denoised: np.ndarray, quarter: np.ndarray, full: np.ndarray, spacing_mm: float) -> dict[str, float]:
    edges = find_edges(full)
    if edges.points == 0:
        return dict.fromkeys(("f50_full", "edge_ratio", "edge_ratio_to_quarter"), math.nan)
    f50, f50_quarter, f50_full = (edge_response(x, edges, spacing_mm).f50 for x in (denoised, quarter, full))
    return {"f50_full": f50_full, "edge_ratio": f50 / f50_full, "edge_ratio_to_quarter": f50 / f50_quarter}
