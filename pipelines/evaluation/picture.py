# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that compare denoisers on the same images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...atomic import atomic_path
from ..metrics import SCORES

__all__ = ["PictureRow", "error_map", "picture_grid", "quality_text", "save_figure", "show_image"]

CELL_INCHES = 2.0


@dataclass
class PictureRow:
    """One image under one condition.

    Attributes:
        label: text to the left of the row, such as ``"mri, gaussian 25"``; not a file name.
        noisy: ``(C, X, Y)`` with C of 1 or 3, in 0..255 (values outside are clipped).
        clean: the clean image, of the same shape.
        denoised: results by method, of the same shape.
    """

    label: str
    noisy: torch.Tensor
    clean: torch.Tensor
    denoised: Mapping[str, torch.Tensor] = field(default_factory=dict)


def picture_grid(
    rows: Sequence[PictureRow], path: str | os.PathLike, zoom: int | None = None, dots_per_inch: int = 120
) -> Path:
    """Draw a PNG with one row per image: noisy | each method | clean | each method's absolute error.

    The PSNR and SSIM of the whole image are printed below each. Error maps are means over channels and share one scale,
    shown by the color bar; images are drawn on 0..255, without contrast stretching.

    Args:
        rows: the images, all with the same methods.
        path: the PNG to write, atomically; missing folders are made.
        zoom: show only the center square of this many pixels a side; PSNR and SSIM are still those of the whole image.
        dots_per_inch: resolution; each image is 2 inches wide.

    Returns:
        ``path``.

    Raises:
        ValueError: when there are no rows, or their methods differ, or the shapes of a row's images differ.
    """
    methods = _check(rows)
    columns = ["noisy", *methods, "clean", *(f"error: {method}" for method in methods)]
    errors = [error_map(row.denoised[name], row.clean) for row in rows for name in methods]
    # The 99.5th percentile, because a single bright pixel would make all others dark.
    limit = max([float(np.percentile(error.numpy(), 99.5)) for error in errors] or [1.0]) or 1.0

    figure = Figure(
        figsize=(CELL_INCHES * len(columns) + 1.0, (CELL_INCHES + 0.3) * len(rows) + 0.2), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    mapped = None
    for line, (row, row_axes) in enumerate(zip(rows, axes)):
        images = {"noisy": row.noisy, **row.denoised, "clean": row.clean}
        for axis, (name, image) in zip(row_axes, images.items()):
            show_image(axis, image, zoom)
            axis.set_xlabel("PSNR / SSIM" if name == "clean" else quality_text(image, row.clean), fontsize=8)
        for axis, name in zip(row_axes[len(images) :], methods):
            error = error_map(row.denoised[name], row.clean)
            mapped = axis.imshow(_window(error, zoom).numpy().T, cmap="magma", vmin=0, vmax=limit)
        row_axes[0].set_ylabel(row.label, fontsize=8)
        for axis, title in zip(row_axes, columns):
            axis.set_xticks([])
            axis.set_yticks([])
            if line == 0:
                axis.set_title(title, fontsize=9)
    if mapped is not None:
        bar = figure.colorbar(mapped, ax=axes, extend="max", fraction=0.02)
        bar.set_label("absolute error, gray levels", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return save_figure(figure, Path(path), dots_per_inch)


def _check(rows: Sequence[PictureRow]) -> list[str]:
    if not rows:
        raise ValueError("no rows to draw.")
    methods = list(rows[0].denoised)
    for row in rows:
        if list(row.denoised) != methods:
            raise ValueError(f"all rows need the same methods, got {methods} and {list(row.denoised)}.")
        for image in (row.noisy, *row.denoised.values()):
            if image.shape != row.clean.shape or image.ndim != 3 or image.shape[0] not in (1, 3):
                raise ValueError(
                    f"images of '{row.label}' must have one shape (1 or 3, X, Y), got {tuple(image.shape)} and "
                    f"{tuple(row.clean.shape)}."
                )
    return methods


def _window(image: torch.Tensor, zoom: int | None) -> torch.Tensor:
    """The centered square of ``zoom`` pixels of the last two axes."""
    if zoom is None:
        return image
    starts = [max(0, (size - zoom) // 2) for size in image.shape[-2:]]
    return image[..., starts[0] : starts[0] + zoom, starts[1] : starts[1] + zoom]


def error_map(image: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Compute the absolute error of two images ``(C, X, Y)``, averaged over the channels: ``(X, Y)``."""
    return (image - clean).abs().mean(0)


def show_image(axis: object, image: torch.Tensor, zoom: int | None = None) -> None:
    """Draw an image.

    Args:
        axis: Matplotlib axes.
        image: ``(1 or 3, X, Y)``, 0..255.
        zoom: show only the centered square of this many pixels.
    """
    # MONAI's axes are x, y; pictures are drawn row by row.
    values = (_window(image, zoom).clip(0, 255) / 255).permute(2, 1, 0).numpy()
    if values.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    axis.imshow(values, interpolation="nearest")


def quality_text(image: torch.Tensor, clean: torch.Tensor) -> str:
    """Format the PSNR and SSIM of two images ``(C, X, Y)``, 0..255."""
    pair = image[None].float(), clean[None].float()
    psnr, ssim = (float(SCORES[name].metric(255)(*pair)) for name in ("psnr", "ssim"))
    return f"{psnr:.2f} dB / {ssim:.4f}"


def save_figure(figure: Figure, path: Path, dots_per_inch: int) -> Path:
    """Write a Matplotlib figure as PNG, atomically. Returns: ``path``."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch)
    return path
