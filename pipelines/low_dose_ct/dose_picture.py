# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A picture of low-dose CT: normal dose, simulated low dose, denoised, and the residual."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...data_manifest import ManifestRecord
from ...transforms import PHOTONS_PER_MA, LowDoseCT
from ..evaluation.picture import save_figure
from .scores import windowed
from .slices import read_slice

__all__ = ["draw_low_dose", "read_normal_dose"]

_COLUMNS = ("normal dose", "simulated low dose", "denoised", "low dose - denoised")
_CELL_INCHES = 2.4


def read_normal_dose(record: ManifestRecord) -> np.ndarray:
    """Read a CT slice of a manifest.

    Args:
        record: a line of the manifest; for a pair, the full dose is read.

    Returns:
        ``(H, W)`` float64 in HU.

    Raises:
        ImageReadError: when the file cannot be read.
        ValueError: when the record is not CT.
    """
    if record.modality != "ct":
        raise ValueError(f"{record.name}: its modality is {record.modality}, not ct.")
    return read_slice(record, target=bool(record.target))


def draw_low_dose(
    slices: Sequence[np.ndarray],
    denoise: Callable[[np.ndarray], np.ndarray],
    path: str | os.PathLike,
    *,
    kernels: Sequence[str] = ("soft", "sharp"),
    dose: float = 0.25,
    tube_current: float = 250.0,
    spacing_mm: float = 0.7,
    window: tuple[float, float] = (40.0, 400.0),
    seed: int = 0,
    dots_per_inch: int = 120,
) -> Path:
    """Draw a PNG with one row per slice and kernel: normal dose | low dose | denoised | low dose - denoised.

    Args:
        slices: normal-dose slices, ``(H, W)`` in HU, such as :func:`read_normal_dose` returns.
        denoise: denoises a low-dose slice ``(H, W)`` in HU.
        path: the PNG to write, atomically; missing folders are made.
        kernels: reconstruction kernels of the simulated noise.
        dose: the fraction of the normal dose.
        tube_current: the normal dose, in mA for 3 mm slices.
        spacing_mm: side of a pixel.
        window: center and width in HU. The residual is shown with the same width, around 0.
        seed: the first row's seed; each further row has the next one.
        dots_per_inch: resolution; each slice is 2.4 inches wide.

    Returns:
        ``path``.

    Raises:
        ValueError: when there is nothing to draw, a slice is not in HU, or ``denoise`` changes the shape.
    """
    if not len(slices) or not kernels:
        raise ValueError("no slices or no kernels to draw.")
    rows = [(normal, kernel) for normal in slices for kernel in kernels]
    figure = Figure(figsize=(_CELL_INCHES * len(_COLUMNS) + 0.3, (_CELL_INCHES + 0.05) * len(rows) + 0.3))
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
    for number, ((normal, kernel), row_axes) in enumerate(zip(rows, axes)):
        simulation = LowDoseCT(dose, tube_current * PHOTONS_PER_MA, kernel, seed=seed + number, pixel_mm=spacing_mm)
        low = simulation(torch.from_numpy(np.asarray(normal, np.float32))[None])[0].numpy().astype(np.float64)
        denoised = np.asarray(denoise(low))
        if denoised.shape != low.shape:
            raise ValueError(f"the denoiser returned the shape {denoised.shape} for a slice of {low.shape}.")
        images = [windowed(image, window) for image in (normal, low, denoised)]
        images.append(windowed(low - denoised, (0.0, window[1])))
        for axis, image, title in zip(row_axes, images, _COLUMNS):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if number == 0:
                axis.set_title(title, fontsize=9)
        row_axes[0].set_ylabel(f"{kernel} kernel", fontsize=9)
    return save_figure(figure, Path(path), dots_per_inch)
