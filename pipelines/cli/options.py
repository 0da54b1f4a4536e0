# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BM3DOption",
    "DeviceOption",
    "ImagesOption",
    "NoiseSeedOption",
    "OnlyOption",
    "OutputOption",
    "QuickOption",
    "SplitOption",
]

DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; by default a GPU if there is one.")]
SplitOption = Annotated[str, typer.Option(help="train, val or test.")]
ImagesOption = Annotated[int | None, typer.Option("--limit", help="At most this many images of each modality.", min=1)]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Train for a few steps on a few images, only to check that everything works.")
]
NoiseSeedOption = Annotated[int, typer.Option(help="Base seed of the noise.", min=0)]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of all results; existing results are kept and completed.")]
BM3DOption = Annotated[
    bool, typer.Option(help="Whether to score BM3D, given the true noise level, as well (non-commercial license).")
]
