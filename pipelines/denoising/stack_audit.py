# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit of all slices of an image, volume or series."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..audit.residual import ResidualAudit, at_full_strength, audit_residual, summarize_audits
from ..formats.stack import ImageStack

__all__ = ["audit_stack"]


def audit_stack(
    stack: ImageStack, removed: np.ndarray, strength: float, correlated_noise: bool
) -> tuple[dict[str, Any], ResidualAudit]:
    """Audit what was removed from each slice, at full strength.

    Args:
        stack: the noisy slices.
        removed: ``(N, H, W[, 3])``, noisy minus denoised in the unit of the real values.
        strength: the strength at which it was removed.
        correlated_noise: whether the noise is correlated between pixels, as in CT.

    Returns:
        The summary of all slices as values that JSON can hold, with the slice that needs the most attention
        (``shown_slice``) and its audit (``shown``); and that audit.
    """
    frozen = [None] * len(stack.slices) if stack.frozen is None else stack.frozen
    audits = []
    for index in range(len(stack.slices)):
        full = at_full_strength(removed[index], strength)
        audits.append(audit_residual(stack.real(index), full, stack.unit, frozen[index], correlated_noise))
    summary = summarize_audits(audits)
    if len(audits) == 1:
        summary["warnings"] = list(audits[0].warnings)
    worst = summary["worst_slice"]
    shown = max(range(len(audits)), key=lambda index: audits[index].std) if worst is None else worst
    return {**summary, "shown_slice": shown, "shown": audits[shown].to_dict()}, audits[shown]
