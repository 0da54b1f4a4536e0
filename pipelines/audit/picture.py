# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ..evaluation.picture import save_figure
from .residual import ResidualAudit, significance_map

__all__ = ["audit_picture"]

CELL_INCHES = 3.0
SHOWN_STDS = 3.0
# Gray values are shown between these percentiles, so that a few bright pixels do not darken the rest.
WINDOW_PERCENTILES = (0.5, 99.5)


def audit_picture(
    path: str | os.PathLike,
    noisy: np.ndarray,
    denoised: np.ndarray,
    removed: np.ndarray,
    audit: ResidualAudit,
    title: str = "",
    frozen: np.ndarray | None = None,
    dots_per_inch: int = 100,
) -> Path:
    """Draw the noisy and the denoised image, the removed noise and its significance, with the audit's numbers below.

    Args:
        path: the PNG, written atomically; missing folders are created.
        noisy: ``(H, W)`` or ``(H, W, 3)``.
        denoised: array of the same shape, drawn in the gray scale of ``noisy``.
        removed: the audited part, noisy minus denoised at full strength, drawn symmetrically about 0; color as the mean
            of its channels.
        audit: their audit, from :func:`~noisewise.pipelines.audit.residual.audit_residual`.
        title: title of the picture; nothing else in it names the image.
        frozen: ``(H, W)``, pixels that the audit left out.
        dots_per_inch: resolution.

    Returns:
        ``path``.
    """
    figure = Figure(figsize=(4 * CELL_INCHES + 0.6, CELL_INCHES + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 4)
    low, high = (float(value) for value in np.percentile(noisy, WINDOW_PERCENTILES))
    high = high if high > low else low + 1.0
    for axis, image, name in zip(axes, (noisy, denoised), ("noisy", "denoised")):
        axis.imshow(np.clip((image - low) / (high - low), 0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=9)
    limit = SHOWN_STDS * audit.std or 1.0
    gray = removed.mean(-1) if removed.ndim == 3 else removed
    axes[2].imshow(gray, cmap="gray", vmin=-limit, vmax=limit)
    axes[2].set_title(f"removed, -{limit:.3g} to {limit:.3g} {audit.unit}".rstrip(), fontsize=9)
    shown = axes[3].imshow(significance_map(noisy, removed, frozen), cmap="coolwarm", vmin=-2, vmax=2)
    axes[3].set_title("significance (circles: beyond the limit)", fontsize=9)
    figure.colorbar(shown, ax=axes[3], shrink=0.8).set_label("1 is the limit", fontsize=8)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    for place in audit.places:
        for axis in axes[2:]:
            axis.add_patch(Circle((place.column, place.row), 2 * place.scale + 4, fill=False, color="yellow"))
    if title:
        figure.suptitle(title, fontsize=10)
    figure.supxlabel("\n".join(_lines(audit)), fontsize=8)
    return save_figure(figure, Path(path), dots_per_inch)


def _lines(audit: ResidualAudit) -> list[str]:
    unit = f" {audit.unit}" if audit.unit else ""
    numbers = (
        f"removed: std {audit.std:.3g}{unit} (robust {audit.robust_std:.3g}), mean {audit.mean:.2g}{unit};  "
        f"largest autocorrelation {audit.largest_autocorrelation:.2f};  "
        f"correlation with structure {audit.structure_correlation:.2f}"
    )
    return [numbers, *(f"warning: {warning}" for warning in audit.warnings)]
