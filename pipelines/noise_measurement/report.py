# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A measurement of noise in words."""

from __future__ import annotations

from .measure import NoiseMeasurement
from .noise_color import BANDS

__all__ = ["noise_report"]

SHOWN_INTENSITIES = 5


def noise_report(measured: NoiseMeasurement, unit: str = "") -> list[str]:
    """Describe a measurement.

    Args:
        measured: the measurement.
        unit: unit of the values, ``""`` if unknown.

    Returns:
        Lines of text.
    """
    curve, color = measured.curve, measured.color
    end = f" {unit}" if unit else ""
    low, high = measured.intensity_range
    step = max(1, -(-len(curve.std) // SHOWN_INTENSITIES))
    points = ", ".join(f"{std:.3g} at {x:.4g}" for x, std in list(zip(curve.intensity, curve.std))[::step])
    origin = "x" if low == 0 else f"(x - {low:g})"
    bands = ", ".join(f"{first:g}-{last:g}: {power:.2f}" for (first, last), power in zip(BANDS, color.spectrum))
    return [
        f"level:            {measured.level:.4g}{end} ({measured.gray_levels:.1f} gray levels of 255, "
        f"range {low:g} to {high:g})",
        f"over intensity:   {points or 'not measurable'}",
        f"fit:              variance = {curve.constant:.3g} + {curve.linear:.3g} {origin} + "
        f"{curve.quadratic:.3g} {origin}^2",
        f"autocorrelation:  rows {_numbers(color.rows)}; columns {_numbers(color.columns)} (lags 1, 2, 3)",
        f"spectrum:         {bands} (cycles per pixel; 1 is white); high to middle {color.high_to_middle:.2f}",
        f"magnitude noise:  {'Rayleigh distributed background' if measured.magnitude else 'not found'}",
        f"clipped:          {_yes(measured.clipped)} ({measured.at_lowest:.1%} of the pixels at the lowest value, "
        f"{measured.at_highest:.1%} at the highest); 8 bit: {_yes(measured.eight_bit)}",
        f"suggested:        weights for {measured.suggested_weights} noise",
    ]


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
