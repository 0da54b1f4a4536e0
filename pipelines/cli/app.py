# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``noisewise``."""

from __future__ import annotations

from typing import Annotated

import typer

from ... import __version__
from .denoise import denoise
from .evaluate import evaluate
from .evaluate_pairs import evaluate_pairs
from .low_dose_ct import app as low_dose_ct_app
from .manifest import app as manifest_app
from .mlflow_demo import mlflow_demo
from .noise import noise
from .reproduce import app as reproduce_app
from .review import review
from .where import where

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)
app.add_typer(manifest_app, name="manifest")
app.add_typer(reproduce_app, name="reproduce")
app.add_typer(low_dose_ct_app, name="low-dose-ct")
app.command()(denoise)
app.command()(review)
app.command()(evaluate)
app.command(name="evaluate-pairs")(evaluate_pairs)
app.command()(noise)
app.command(name="mlflow-demo")(mlflow_demo)
app.command()(where)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"noisewise {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Denoise medical images, and train, evaluate and review the two-stage denoiser."""
