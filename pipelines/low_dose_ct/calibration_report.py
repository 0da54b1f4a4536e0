# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables and the figure of a calibration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...atomic import write_text_atomically
from ..evaluation.markdown import markdown_table
from ..evaluation.picture import save_figure
from .noise_comparison import NoiseComparison, anisotropy
from .rows import write_csv

__all__ = ["write_calibration"]

_SIDES = ("real", "simulated")
_STYLES = {"real": "-", "simulated": "--"}


def write_calibration(comparisons: Sequence[NoiseComparison], output: str | os.PathLike) -> list[Path]:
    """Write the results of a calibration.

    Args:
        comparisons: one per slice.
        output: the output folder, which is created if necessary.

    Returns:
        ``calibration.csv``, ``calibration.md`` and ``low_dose_calibration.png``.

    Raises:
        ValueError: when no slice could be measured.
    """
    measured = [each for each in comparisons if each.regions]
    if not measured:
        raise ValueError("no slice has soft tissue in which noise could be measured.")
    output = Path(output)
    rows = [_row(each) for each in comparisons]
    return [
        write_csv(output / "calibration.csv", rows),
        write_text_atomically(output / "calibration.md", _summary(rows)),
        save_figure(_figure(measured), output / "low_dose_calibration.png", dots_per_inch=120),
    ]


def _row(each: NoiseComparison) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject": each.subject,
        "kernel": each.kernel,
        "image_id": each.image_id,
        "tube_current_ma": each.tube_current,
        "regions": each.regions,
        "real_std_hu": each.real_std_hu,
        "simulated_std_hu": each.simulated_std_hu,
        "ratio": each.simulated_std_hu / each.real_std_hu,
    }
    for side in _SIDES:
        spectrum = getattr(each, side)
        row[f"{side}_anisotropy"] = anisotropy(spectrum) if spectrum else float("nan")
        row[f"{side}_mean_frequency"] = spectrum.mean_frequency if spectrum else float("nan")
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    header = ["kernel", "patient", "slices", "real, HU", "simulated, HU", "simulated / real"]
    header += [f"{measure}, {side}" for measure in ("horizontal / vertical", "mean frequency") for side in _SIDES]
    lines = []
    for kernel in sorted({row["kernel"] for row in rows}):
        members = [row for row in rows if row["kernel"] == kernel and row["regions"]]
        subjects = sorted({row["subject"] for row in members})
        for title, chosen in [("all", subjects), *((subject, [subject]) for subject in subjects)]:
            group = [row for row in members if row["subject"] in chosen]
            if not group:
                continue
            cells = [_mean(group, name, 1) for name in ("real_std_hu", "simulated_std_hu")]
            cells.append(_mean(group, "ratio", 3))
            cells += [_mean(group, f"{side}_anisotropy", 2) for side in _SIDES]
            cells += [_mean(group, f"{side}_mean_frequency", 3) for side in _SIDES]
            lines.append([kernel, title, str(len(group)), *cells])
    left_out = sum(not row["regions"] for row in rows)
    text = [
        "Noise that a lower dose adds, in soft tissue: real (low less full dose) and simulated. Mean over slices "
        "\N{PLUS-MINUS SIGN} standard deviation; the ratio is taken slice by slice. Horizontal / vertical: noise power "
        "along rows over that along columns. Mean frequency of the radial noise power spectrum in cycles/mm.",
        "",
        *markdown_table(header, lines, text_columns=2),
        "",
    ]
    if left_out:
        text += [f"{left_out} slices have no soft tissue to measure in.", ""]
    return "\n".join(text)


def _mean(rows: Sequence[dict[str, Any]], name: str, digits: int) -> str:
    values = np.array([row[name] for row in rows])
    text = f"{values.mean():.{digits}f}"
    return text if values.size < 2 else f"{text} \N{PLUS-MINUS SIGN} {values.std(ddof=1):.{digits}f}"


def _figure(comparisons: Sequence[NoiseComparison]) -> Figure:
    """Draw mean radial spectra: in absolute units above, normalized to an area of 1 per slice below."""
    kernels = sorted({each.kernel for each in comparisons})
    figure = Figure(figsize=(4.2 * len(kernels), 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(kernels), sharex=True, squeeze=False)
    for kernel, (absolute, normalized) in zip(kernels, axes.T):
        members = [each for each in comparisons if each.kernel == kernel]
        for index, side in enumerate(_SIDES):
            spectra = [getattr(each, side).radial() for each in members]
            frequency = spectra[0][0]
            power = np.array([values for _, values in spectra])
            shape = power / (power.sum(1, keepdims=True) * (frequency[1] - frequency[0]))
            for axis, values in ((absolute, power), (normalized, shape)):
                axis.plot(frequency, values.mean(0), _STYLES[side], color=f"C{index}", label=side)
                axis.grid(alpha=0.3)
        absolute.set_title(f"{kernel}, {len(members)} slices")
        normalized.set_xlabel("spatial frequency, cycles/mm")
    axes[0, 0].set_ylabel("noise power, HU$^2$ mm$^2$")
    axes[1, 0].set_ylabel("noise power, area 1")
    axes[0, 0].legend()
    return figure
