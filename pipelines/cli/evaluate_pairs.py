# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise evaluate-pairs``: denoisers scored on really noisy images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engines.base import ENGINES
from .console import say, user_errors

__all__ = ["evaluate_pairs"]


def evaluate_pairs(
    pairs: Annotated[
        Path, typer.Argument(help="CSV with the columns noisy and clean, and any of modality, source and subject.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the tables; scores that it has are kept and completed.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="A bundle, folder or weights file; may be repeated. By default multimodal_denoising."),
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit gain and offset of every result to the reference before scoring.")
    ] = False,
    bm3d: Annotated[
        bool, typer.Option(help="Whether to score BM3D, plain and variance-stabilized (non-commercial license).")
    ] = True,
    nlm: Annotated[bool, typer.Option(help="Whether to score non-local means.")] = True,
    denoised: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Results of another program, under the noisy images' file names; may be repeated.",
        ),
    ] = None,
    intensity_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Values that stand for black and white, in the unit of the images."),
    ] = None,
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)}; auto is the fastest installed.")] = "auto",
    picture: Annotated[bool, typer.Option(help="Whether to draw the first pair of each source.")] = True,
) -> None:
    """Score denoisers on pairs of a really noisy image and its reference; write a table and a picture.

    BM3D and non-local means are told the noise that 'noisewise noise' measures in the image. No result holds a file
    name.
    """
    with user_errors():
        from ...listing import check_known
        from ..denoising.settings import DEFAULT_MODEL
        from ..pair_evaluation.evaluate import evaluate_pairs as evaluate
        from ..pair_evaluation.evaluate import summary_lines
        from ..pair_evaluation.methods import model_methods, reference_methods
        from ..pair_evaluation.pairs import read_pairs

        check_known("engine", engine, ENGINES)
        made_elsewhere = dict(map(_name_and_folder, denoised or []))
        table = read_pairs(pairs)
        references, skipped = reference_methods([*(["bm3d", "bm3d_vst"] if bm3d else []), *(["nlm"] if nlm else [])])
        for name, cause in skipped.items():
            say(f"{name} is left out: {cause}")
        methods = {**model_methods(model or [DEFAULT_MODEL], engine), **references}
        for name in made_elsewhere:
            if name in methods or name == "noisy":
                raise ValueError(f"--denoised {name}: another method has this name; choose another.")
        scores = evaluate(
            table,
            methods,
            output,
            fit=fit,
            intensity_range=intensity_range,
            made_elsewhere=made_elsewhere,
            picture=picture,
            on_score=lambda name, number, psnr: say(f"pair {number}, {name}: {psnr:.2f} dB"),
        )
    for line in summary_lines(scores):
        say(line)


def _name_and_folder(text: str) -> tuple[str, str]:
    name, found, folder = text.partition("=")
    if not (found and name and folder):
        raise ValueError(f"--denoised: expected NAME=FOLDER, got {text!r}.")
    if not Path(folder).is_dir():
        raise ValueError(f"--denoised: {folder} is not a folder.")
    return name, folder
