# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of a denoised image should know, by what its file says and shows."""

from __future__ import annotations

import numpy as np

from ..formats.stack import ImageStack
from .mapping import stored_limits
from .overlay import find_overlays

__all__ = ["OVERLAY_NOTE", "TRACER_NOTE", "notes_on"]

TRACERS = ("pet", "nuclear")
TRACER_NOTE = (
    "the weights are not for PET and nuclear medicine: small hot spots lose a part of their maximum (SUVmax); see "
    "docs/denoising.md."
)
OVERLAY_NOTE = "colors are laid over a gray image, as in color Doppler; colored pixels stay as they are."


def notes_on(stack: ImageStack, real_range: tuple[float, float] | None) -> list[str]:
    """The notes on an image.

    Args:
        stack: the slices of the file.
        real_range: the values of black and white; None for an image without contrast.

    Returns:
        One line each, mostly none.
    """
    notes = [TRACER_NOTE] if stack.modality in TRACERS else []
    if stack.slices.ndim == 4 and real_range is not None:
        low, high = (np.broadcast_to(each, len(stack.slices)) for each in stored_limits(stack, real_range))
        if find_overlays(stack.slices, low, high).any():
            notes.append(OVERLAY_NOTE)
    return notes
