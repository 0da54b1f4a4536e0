# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise noise``: the noise of images, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import FAILED, say, say_error, user_errors

__all__ = ["noise"]


def noise(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Images of any format, or folders of one DICOM series each."),
    ],
    modality: Annotated[
        str | None, typer.Option(help="Modality, if the files do not state it: ct for Hounsfield units.")
    ] = None,
    intensity_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Values that stand for black and white, in the unit of the images."),
    ] = None,
) -> None:
    """Measure the noise of images: level, dependence on intensity, color, magnitude noise, and fitting weights."""
    failed = False
    with user_errors():
        from ..denoising.mapping import stack_range
        from ..formats.any_image import read_any_image
        from ..noise_measurement.measure import measure_noise
        from ..noise_measurement.report import noise_report

        for path in images:
            try:
                stack = read_any_image(path)
                limits = stack_range(stack, modality, intensity_range)
                if limits is None:
                    raise ValueError("the image is constant: there is no noise to measure.")
                measured = measure_noise(stack.real(), limits, color=stack.slices.ndim == 4)
            except (ValueError, OSError) as error:
                failed = True
                say_error(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
                continue
            say(path)
            for line in noise_report(measured, stack.unit):
                say(f"  {line}")
    if failed:
        raise typer.Exit(FAILED)
