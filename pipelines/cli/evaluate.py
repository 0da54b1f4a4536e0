# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise evaluate``: the bundle's evaluation from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .console import say, user_errors
from .options import DeviceOption, ImagesOption, NoiseSeedOption, SplitOption

if TYPE_CHECKING:
    from ..evaluation import ScoreTable

__all__ = ["evaluate"]


def evaluate(
    manifest: Annotated[Path | None, typer.Option(help="Manifest of the images; the embedded set by default.")] = None,
    split: SplitOption = "test",
    modality: Annotated[list[str] | None, typer.Option(help="Only this modality; may be repeated.")] = None,
    limit: ImagesOption = None,
    crop: Annotated[int | None, typer.Option(help="Score center crops of this many pixels a side.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights; the bundle's by default.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON with 'network_def', such as a bundle's config.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the network in the tables.")] = None,
    network: Annotated[bool, typer.Option(help="Whether to score the network.")] = True,
    through: Annotated[
        str,
        typer.Option(help="What to score: the network alone, or the product, which is the network as users run it."),
    ] = "network",
    as_file: Annotated[
        bool,
        typer.Option("--as-file", help="Clip and round the noisy images, as an 8-bit file holds them."),
    ] = False,
    noisy: Annotated[bool, typer.Option(help="Whether to score the noisy input as well.")] = True,
    bm3d: Annotated[
        bool, typer.Option(help="Whether to score BM3D, given the true noise level, as well (non-commercial license).")
    ] = False,
    bm3d_vst: Annotated[
        bool,
        typer.Option(
            "--bm3d-vst",
            help="Whether to score BM3D on a variance-stabilized image; differs from BM3D on speckle alone.",
        ),
    ] = False,
    nlm: Annotated[bool, typer.Option(help="Whether to score non-local means as well.")] = False,
    protocol: Annotated[str, typer.Option(help="Noise protocol: physical, published, author_code.")] = "physical",
    patterns: Annotated[
        str,
        typer.Option(
            help="Noise patterns, separated by commas: gaussian, speckle, rician, poisson, salt_and_pepper, "
            "quantization, correlated."
        ),
    ] = "gaussian,speckle",
    stds: Annotated[str, typer.Option(help="Standard deviations on the 0..255 scale.")] = "10,25,50,75",
    seed: NoiseSeedOption = 0,
    output: Annotated[Path, typer.Option(help="Folder of the tables; existing scores are kept and completed.")] = Path(
        "runs/evaluate"
    ),
    picture: Annotated[bool, typer.Option(help="Whether to draw examples to picture.png.")] = True,
    zoom: Annotated[int | None, typer.Option(help="Draw only a center square of this many pixels.", min=1)] = None,
    track: Annotated[bool, typer.Option(help="Whether to log the results as an MLflow run.")] = True,
    device: DeviceOption = None,
) -> None:
    """Score denoisers over modality, noise pattern and standard deviation; write tables and a picture.

    Scores that the output folder already has are not computed again, so an interrupted run resumes, and methods can be
    added one by one.
    """
    suffix = "" if through == "network" else f"_{through}"
    references = {"noisy": noisy, "bm3d": bm3d, "bm3d_vst": bm3d_vst, "nlm": nlm}
    overrides: dict[str, Any] = {
        "method": (name or f"two_stage{suffix}") if network else None,
        "references": [reference for reference, wanted in references.items() if wanted],
        "output_dir": str(output),
        "zoom": zoom,
        "track": track,
        **({} if manifest is None else {"manifest": str(manifest)}),
        **({} if weights is None else {"weights": str(weights)}),
        **({} if picture else {"picture": None}),
    }
    with user_errors():
        # Late, as in all commands: PyTorch and MONAI take seconds to import, and help needs neither.
        from ..bundle.config import network_from_config
        from ..evaluation import EvaluationSettings
        from ..evaluation.run import run_evaluation

        settings = EvaluationSettings(
            split=split,
            modalities=tuple(modality) if modality else None,
            limit=limit,
            crop=crop,
            protocol=protocol,
            patterns=tuple(pattern.strip() for pattern in patterns.split(",")),
            stds=_numbers(stds),
            seed=seed,
            quantize=as_file,
            through=through,
            device=device,
        )
        if config is not None:
            overrides["network_def"] = network_from_config(config)
            overrides["method"] = (name or f"{type(overrides['network_def']).__name__}{suffix}") if network else None
        table = run_evaluation(settings.overrides() | overrides)
    Console().print(_rich_table(table))
    for file in ("scores.csv", "summary.csv", "summary.md", *(["picture.png"] if picture else [])):
        say(f"wrote {output / file}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--stds: expected numbers separated by commas, got {text!r}.") from None


def _rich_table(scores: ScoreTable) -> Table:
    """PSNR and SSIM of all methods; the other scores are in the files."""
    from ..evaluation import SCORES, summarize

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
