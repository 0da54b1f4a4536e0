# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise evaluate``: the bundle's evaluation from the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...transforms import PATTERNS
from ..bundle.config import network_from_config, root_cause
from ..evaluation import SCORES, ScoreTable, summarize
from ..evaluation.run import run_evaluation

__all__ = ["evaluate"]


def evaluate(
    manifest: Annotated[Path | None, typer.Option(help="Manifest of the images; the embedded set by default.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    modality: Annotated[list[str] | None, typer.Option(help="Only this modality; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of each modality.", min=1)] = None,
    crop: Annotated[int | None, typer.Option(help="Score centre crops of this many pixels a side.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights; the bundle's by default.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON with 'network_def', such as a bundle's config.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the tables call the network.")] = None,
    network: Annotated[bool, typer.Option(help="Whether the network is evaluated.")] = True,
    noisy: Annotated[bool, typer.Option(help="Whether the noisy input stands beside it.")] = True,
    bm3d: Annotated[
        bool, typer.Option(help="Whether BM3D, told the true noise level, stands beside it (non-commercial licence).")
    ] = False,
    bm3d_vst: Annotated[
        bool,
        typer.Option(
            "--bm3d-vst",
            help="Whether BM3D on a variance-stabilised image does as well; on noise other than speckle it is BM3D.",
        ),
    ] = False,
    nlm: Annotated[bool, typer.Option(help="Whether non-local means does as well.")] = False,
    protocol: Annotated[str, typer.Option(help="Noise protocol: physical, published or author_code.")] = "physical",
    patterns: Annotated[
        str, typer.Option(help=f"Noise patterns, separated by commas: {', '.join(PATTERNS)}.")
    ] = "gaussian,speckle",
    stds: Annotated[str, typer.Option(help="Standard deviations on the 0..255 scale.")] = "10,25,50,75",
    seed: Annotated[int, typer.Option(help="Base seed of the noise.", min=0)] = 0,
    output: Annotated[Path, typer.Option(help="Folder of the tables; what it holds is kept and gone on with.")] = Path(
        "runs/evaluate"
    ),
    picture: Annotated[bool, typer.Option(help="Whether examples are drawn to picture.png.")] = True,
    zoom: Annotated[int | None, typer.Option(help="Draw only a centre square of so many pixels.", min=1)] = None,
    track: Annotated[bool, typer.Option(help="Whether the results become a run in MLflow's store.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU where there is one.")] = None,
) -> None:
    """Score denoisers over modality, noise pattern and standard deviation; write tables and a picture.

    What the output folder holds already is not computed again, so a killed run goes on where it was, and methods can
    be added one by one.
    """
    console = Console()
    overrides: dict[str, Any] = {
        "split": split,
        "modalities": modality or None,
        "limit": limit,
        "crop": crop,
        "method": (name or "two_stage") if network else None,
        "references": [
            reference
            for reference, on in (("noisy", noisy), ("bm3d", bm3d), ("bm3d_vst", bm3d_vst), ("nlm", nlm))
            if on
        ],
        "protocol": protocol,
        "patterns": [pattern.strip() for pattern in patterns.split(",")],
        "seed": seed,
        "output_dir": str(output),
        "zoom": zoom,
        "track": track,
    }
    if manifest is not None:
        overrides["manifest"] = str(manifest)
    if weights is not None:
        overrides["weights"] = str(weights)
    if device is not None:
        overrides["device"] = device
    if not picture:
        overrides["picture"] = None
    try:
        overrides["stds"] = _numbers(stds)
        if config is not None:
            overrides["network_def"] = network_from_config(config)
            overrides["method"] = (name or type(overrides["network_def"]).__name__) if network else None
        table = run_evaluation(overrides)
    except Exception as error:
        cause = root_cause(error)
        if os.environ.get("NOISEWISE_TRACEBACK") or not isinstance(cause, (ValueError, OSError, ImportError)):
            raise
        Console(stderr=True).print(f"error: {cause}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    console.print(_rich_table(table))
    for file in ("scores.csv", "summary.csv", "summary.md", *(["picture.png"] if picture else [])):
        console.print(str(output / file), soft_wrap=True, highlight=False)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--stds: expected numbers separated by commas, got {text!r}.") from None


def _rich_table(scores: ScoreTable) -> Table:
    """PSNR and SSIM of all methods; the other scores are in the files."""
    summary = summarize(scores.rows())
    methods = list(summary["method"].unique())
    table = Table(title=f"{SCORES['psnr'].title} / {SCORES['ssim'].title}, protocol {scores.setup['protocol']}")
    for column in ("modality", "pattern", "sigma"):
        table.add_column(column, justify="right" if column == "sigma" else "left", no_wrap=True)
    for method in methods:
        table.add_column(method, justify="right")
    previous = None
    for (modality, pattern, sigma), group in summary.groupby(["modality", "pattern", "sigma"], sort=False):
        if previous not in (None, modality):
            table.add_section()
        previous = modality
        cells = {row.method: f"{row.psnr_mean:.2f} / {row.ssim_mean:.4f}" for row in group.itertuples()}
        table.add_row(modality, pattern, f"{sigma:g}", *(cells.get(method, "-") for method in methods))
    return table
