# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The regions of a CT slice that are measured: the body, its tissues, and its flat regions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy import ndimage

from .inputs import as_slice
from .noise_power import remove_trend

__all__ = [
    "BODY_LIMIT_HU",
    "TISSUE_LIMITS_HU",
    "Region",
    "body_mask",
    "flat_regions",
    "patient_outline",
    "reconstruction_circle",
    "tissue_masks",
]

# Rows and columns of a square region: ``image[region]`` is the region's pixels.
Region = tuple[slice, slice]

BODY_LIMIT_HU = -300.0

# Adipose tissue and muscle: Mitsiopoulos et al., "Cadaver validation of skeletal muscle measurement by magnetic
# resonance imaging and computerized tomography", J Appl Physiol 85(1), 1998. Lung: from the limit of emphysema, -950
# (Gevenois et al., Am J Respir Crit Care Med 154(1), 1996), to the end of the aerated lung, -500 (Gattinoni et al., Am
# J Respir Crit Care Med 164(9), 2001). Bone starts above what enhanced organs reach; vessels full of contrast agent
# can reach it as well.
TISSUE_LIMITS_HU: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"lung": (-950.0, -500.0), "fat": (-190.0, -30.0), "soft_tissue": (-29.0, 150.0), "bone": (200.0, np.inf)}
)


def body_mask(full: ArrayLike) -> np.ndarray:
    """Return the pixels for the RMSE: those of the full-dose slice above -300 HU.

    This excludes air, the lungs and everything outside the reconstruction circle. It includes the denser parts of the
    table, because a plain threshold gives everyone the same pixels.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ValueError: as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    return as_slice("full", full) > BODY_LIMIT_HU


def reconstruction_circle(image: ArrayLike) -> np.ndarray:
    """Return the pixels inside the circle that the scanner reconstructed.

    Scanners pad the area outside with the smallest value of the image. The padding is followed from the four corners
    along the diagonals. The result is the largest circle that it leaves, but at least the one inscribed in the image,
    because air can have the value of the padding too. An image whose corners are not all padding was reconstructed
    everywhere.

    Args:
        image: ``(H, W)`` in HU.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ValueError: as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    image = as_slice("image", image)
    height, width = image.shape
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
    if (corners != image.min()).any():
        return np.ones(image.shape, dtype=bool)

    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    step = np.arange(min(height, width) // 2)
    smallest = min(height, width) / 2
    radii = []
    for row in (step, height - 1 - step):
        for column in (step, width - 1 - step):
            reconstructed = np.flatnonzero(image[row, column] != corners[0])
            radii += [distance[row[reconstructed[0]], column[reconstructed[0]]]] if reconstructed.size else []
    return distance <= max([smallest, *radii])


def patient_outline(full: ArrayLike, smoothing_px: float = 2.0) -> np.ndarray:
    """Return the patient's cross-section, including lungs and bowel gas, without the table and the surrounding air.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        smoothing_px: standard deviation in pixels of the Gaussian that smooths the slice first.

    Returns:
        ``(H, W)`` bool: the largest connected part above -300 HU with its holes filled; all False if there is none.

    Raises:
        ValueError: as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    full = as_slice("full", full)
    dense = (ndimage.gaussian_filter(full, smoothing_px) > BODY_LIMIT_HU) & reconstruction_circle(full)
    # The opening separates a table that touches the back.
    parts, count = ndimage.label(ndimage.binary_opening(dense, iterations=2))
    if count == 0:
        return np.zeros(full.shape, dtype=bool)
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return ndimage.binary_fill_holes(parts == largest)


def tissue_masks(full: ArrayLike, smoothing_px: float = 2.0, margin_px: float = 3.0) -> dict[str, np.ndarray]:
    """Return the inside of each tissue, away from its edges.

    A pixel belongs to the tissue whose limits (:data:`TISSUE_LIMITS_HU`) contain the smoothed full-dose value. The
    plain value has noise of tens of HU, which would assign bright noise to one tissue and dark noise to another. Edges
    between two tissues pass through the values of a third, so every mask is eroded. Large bowel gas counts as lung.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        smoothing_px: standard deviation in pixels of the Gaussian.
        margin_px: the smallest distance of a pixel from its tissue's border, in every direction.

    Returns:
        ``(H, W)`` bool arrays under ``"lung"``, ``"fat"``, ``"soft_tissue"`` and ``"bone"``, all inside the patient.

    Raises:
        ValueError: when ``margin_px`` is negative, and as :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    if margin_px < 0:
        raise ValueError(f"margin_px must not be negative, got {margin_px}.")
    full = as_slice("full", full)
    smooth = ndimage.gaussian_filter(full, smoothing_px)
    outline = patient_outline(full, smoothing_px)
    masks = {}
    for tissue, (low, high) in TISSUE_LIMITS_HU.items():
        mask = outline & (smooth >= low) & (smooth <= high)
        masks[tissue] = ndimage.distance_transform_edt(mask) > margin_px
    return masks


def flat_regions(
    full: ArrayLike,
    size: int = 32,
    count: int = 8,
    smoothing_px: float = 3.0,
    structure_limit_hu: float = 12.0,
) -> list[Region]:
    """Find square regions of soft tissue with little structure, in which fluctuations are noise.

    Structure is the standard deviation of the smoothed full-dose slice in the region, without its second-order trend.
    The flattest region is chosen first, then the next flattest that does not overlap it, and so on; the result for a
    slice is always the same.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        size: side of the regions in pixels; 32 fits between the vessels of a liver, 48 resolves lower frequencies.
        count: the largest number of regions.
        smoothing_px: standard deviation in pixels of the Gaussian that removes the noise first.
        structure_limit_hu: the largest structure of a flat region, in HU.

    Returns:
        Regions, flattest first; fewer than ``count``, or none, if the slice does not have more.

    Raises:
        ValueError: when ``size`` is below 8 or ``count`` below 1, and as
            :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    full = as_slice("full", full)
    if size < 8 or count < 1:
        raise ValueError(f"size must be 8 or more and count 1 or more, got {size} and {count}.")
    if min(full.shape) < size:
        return []
    smooth = ndimage.gaussian_filter(full, smoothing_px)
    low, high = TISSUE_LIMITS_HU["soft_tissue"]
    soft = patient_outline(full) & (smooth >= low) & (smooth <= high)

    step = max(1, size // 8)
    rows, columns = np.nonzero(sliding_window_view(soft, (size, size))[::step, ::step].all((-2, -1)))
    if rows.size == 0:
        return []
    windows = sliding_window_view(smooth, (size, size))[::step, ::step][rows, columns]
    structure = remove_trend(windows).std((-2, -1))

    regions: list[Region] = []
    taken = np.zeros(full.shape, dtype=bool)
    for index in np.argsort(structure, kind="stable"):
        if structure[index] > structure_limit_hu or len(regions) == count:
            break
        top, left = int(rows[index]) * step, int(columns[index]) * step
        region = (slice(top, top + size), slice(left, left + size))
        if not taken[region].any():
            taken[region] = True
            regions.append(region)
    return regions
