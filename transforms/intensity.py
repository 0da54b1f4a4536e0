# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The linear rule that maps each modality's intensities to [0, 1] and back.

The rule is fixed once for an image or a series, never per slice: 8-bit data 0..255; CT -1000..1000 HU; all other
data 0 to the 99.9th percentile. Nothing is clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from monai.config import NdarrayOrTensor

__all__ = ["CT_RANGE", "intensity_range", "negative_cause", "negative_share"]

CT_RANGE = (-1000.0, 1000.0)
EIGHT_BIT_RANGE = (0.0, 255.0)
UPPER_PERCENTILE = 99.9
# An image with more than this share of its pixels below this value (in units of its range) was mapped wrongly;
# resampled MRI has a little below zero, CT in Hounsfield units nearly all.
LARGEST_NEGATIVE_SHARE = 0.1
CLEARLY_NEGATIVE = -0.05


def intensity_range(image: NdarrayOrTensor, stored_dtype: str, modality: str | None = None) -> tuple[float, float]:
    """Find the intensities that map to 0 and 1.

    Args:
        image: the image or the whole series, in its own unit (CT: HU).
        stored_dtype: dtype on file, such as ``"uint8"`` or ``"int16"``.
        modality: ``"ct"`` for computed tomography in HU; any other name or None otherwise.

    Returns:
        ``(low, high)`` with ``low < high``.

    Raises:
        ValueError: when the 99.9th percentile is not above 0, so that the rule gives no range.
    """
    if stored_dtype in ("uint8", "bool"):
        return EIGHT_BIT_RANGE
    if modality is not None and modality.lower() == "ct":
        return CT_RANGE
    values = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    high = float(np.percentile(values, UPPER_PERCENTILE))
    if high <= 0:
        raise ValueError(
            f"the 99.9th percentile of the intensities is {high:g}: the rule 0..percentile gives no range; "
            "state the intensity range."
        )
    return 0.0, high


def negative_share(unit: NdarrayOrTensor) -> float:
    """The share of clearly negative pixels.

    Args:
        unit: an image in units of its intensity range.

    Returns:
        A number in [0, 1].
    """
    return float((torch.as_tensor(unit) < CLEARLY_NEGATIVE).float().mean())


def negative_cause(share: float) -> str | None:
    """Why an image with so many clearly negative pixels cannot be denoised.

    Args:
        share: as :func:`negative_share` gives it.

    Returns:
        The cause, or None when there is none.
    """
    if share <= LARGEST_NEGATIVE_SHARE:
        return None
    return (
        f"{share:.0%} of its intensities are negative, outside the range that is denoised; if they are Hounsfield "
        "units, pass --modality ct"
    )
