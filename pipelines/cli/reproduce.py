# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise reproduce``: the paper's comparison, from training to tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import fail, fail_if_any, say, user_errors
from .options import BM3DOption, DeviceOption, ImagesOption, OnlyOption, OutputOption, QuickOption, SplitOption
from .options import NoiseSeedOption as SeedOption

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train the compared methods at an equal budget; build tables and figures.")

ManifestOption = Annotated[Path, typer.Option(help="Manifest of the images.", show_default=False)]
MethodsOption = Annotated[
    Path | None, typer.Option(help="Folder of the methods' configs; the bundle's configs/methods by default.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the training config, for all methods; may be repeated.")
]
DocsOption = Annotated[
    Path | None, typer.Option(help="Folder of the tables and figures; OUTPUT/report by default.", show_default=False)
]
ScoredOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this method, reference (noisy, ...) or weights (two_stage_shipped, two_stage_commercial); may be "
        "repeated."
    ),
]
ProtocolOption = Annotated[str, typer.Option(help="Noise protocol of the scored images.")]
CropOption = Annotated[int, typer.Option(help="Score center crops of this many pixels a side; 0 for whole images.")]
AmpOption = Annotated[str | None, typer.Option(help="bfloat16 or float16; float32 by default.")]
NetworkOption = Annotated[
    Path | None, typer.Option(help="YAML or JSON with the weights' 'network_def'; the bundle's network by default.")
]
DEFAULT_OUTPUT = Path("runs/reproduce")


@app.command()
def train(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: OnlyOption = None,
    settings: SetOption = None,
    quick: QuickOption = False,
    methods: MethodsOption = None,
) -> None:
    """Train the compared methods one by one; finished ones are kept, interrupted ones resume."""
    with user_errors():
        from ..reproduce.budget import LIMITED, parse_settings
        from ..reproduce.methods import choose_methods, read_methods
        from ..reproduce.training import train_methods

        chosen = choose_methods(read_methods(methods), only)
        overrides = (LIMITED if quick else {}) | parse_settings(settings or [])
        results = train_methods(chosen, manifest, output, overrides, report=say)
    say(f"results: {output / 'training'}")
    fail_if_any(results, "not trained")


@app.command()
def evaluate(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: ScoredOption = None,
    split: SplitOption = "test",
    protocol: ProtocolOption = "physical",
    crop: CropOption = 256,
    limit: ImagesOption = None,
    seed: SeedOption = 0,
    amp_dtype: AmpOption = None,
    device: DeviceOption = None,
    methods: MethodsOption = None,
) -> None:
    """Score references, shipped weights and every trained method on the same noisy images; existing scores are kept."""
    with user_errors():
        from ..evaluation import EvaluationSettings
        from ..reproduce.methods import read_methods
        from ..reproduce.scoring import score_methods, scores_folder

        settings = EvaluationSettings(
            split=split,
            protocol=protocol,
            crop=crop or None,
            limit=limit,
            seed=seed,
            amp_dtype=amp_dtype,
            device=device,
        )
        results = score_methods(read_methods(methods), manifest, output, settings, only, report=say)
    say(f"results: {scores_folder(output, protocol) / 'scores.csv'}")
    fail_if_any(results, "not scored")


@app.command()
def tables(
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest of the images; without it the tables show existing scores.", show_default=False),
    ] = None,
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    only: ScoredOption = None,
    split: SplitOption = "test",
    protocol: ProtocolOption = "physical",
    crop: CropOption = 256,
    limit: ImagesOption = None,
    seed: SeedOption = 0,
    amp_dtype: AmpOption = None,
    device: DeviceOption = None,
    methods: MethodsOption = None,
) -> None:
    """Compute missing scores, then write Tables I to VI and the average over the modalities."""
    with user_errors():
        from ..evaluation import EvaluationSettings, read_scores
        from ..reproduce.methods import read_methods
        from ..reproduce.scoring import score_methods, scores_folder
        from ..reproduce.tables import write_paper_tables
        from ..reproduce.training import read_marker

        found = read_methods(methods)
        results = []
        if manifest is not None:
            settings = EvaluationSettings(
                split=split,
                protocol=protocol,
                crop=crop or None,
                limit=limit,
                seed=seed,
                amp_dtype=amp_dtype,
                device=device,
            )
            results = score_methods(found, manifest, output, settings, only, report=say)
        scores = scores_folder(output, protocol) / "scores.csv"
        if not scores.exists():
            raise ValueError(f"{scores}: there are no scores yet; name the images with --manifest.")
        markers = {method.name: marker for method in found if (marker := read_marker(output, method.name))}
        for path in write_paper_tables(read_scores(scores), found, _report_folder(output, docs, protocol), markers):
            say(f"wrote {path}")
        fail_if_any(results, "not scored")


@app.command()
def cost(
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    only: OnlyOption = None,
    settings: SetOption = None,
    repeats: Annotated[int, typer.Option(help="How often an image is denoised to measure the time.", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="How many training steps are timed.", min=1)] = 5,
    methods: MethodsOption = None,
) -> None:
    """Count and measure every method, then write Table VII; does not need images or trainings."""
    with user_errors():
        from ..reproduce.budget import parse_settings
        from ..reproduce.cost import measure_costs, write_cost_table
        from ..reproduce.methods import choose_methods, read_methods

        chosen = choose_methods(read_methods(methods), only)
        overrides = parse_settings(settings or [])
        costs, failed = measure_costs(chosen, output, overrides, repeats=repeats, steps=steps, report=say)
        for path in write_cost_table(costs, _report_folder(output, docs)):
            say(f"wrote {path}")
    if failed:
        fail(f"not measured: {', '.join(failed)}.")


@app.command()
def figures(
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest of the images; the embedded set by default.", show_default=False)
    ] = None,
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    split: SplitOption = "test",
    sigma: Annotated[float, typer.Option(help="Standard deviation of the noise, 0..255 scale.", min=0)] = 50.0,
    protocol: ProtocolOption = "physical",
    crop: CropOption = 256,
    seed: SeedOption = 0,
    image: Annotated[
        list[str] | None,
        typer.Option(help="image_id of an image to draw, at most one a modality; the middle one by default."),
    ] = None,
    methods: MethodsOption = None,
) -> None:
    """Draw Figures 6 to 10 and 12 (images) and 13 (validation curves)."""
    with user_errors():
        from ...data_manifest import build_embedded
        from ..evaluation import EvaluationSettings
        from ..reproduce.figures import draw_comparisons, draw_validation_curves
        from ..reproduce.methods import read_methods

        found, folder = read_methods(methods), _report_folder(output, docs, protocol)
        if manifest is None:
            manifest = build_embedded(output / "embedded")
        written = draw_validation_curves(found, output, folder)
        settings = EvaluationSettings(split=split, crop=crop or None, protocol=protocol, seed=seed, device="cpu")
        written += draw_comparisons(found, manifest, output, folder, settings, sigma=sigma, images=image, report=say)
        for path in written:
            say(f"wrote {path}")


@app.command(name="all")
def everything(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    only: OnlyOption = None,
    settings: SetOption = None,
    quick: QuickOption = False,
    limit: ImagesOption = None,
    split: SplitOption = "test",
    protocol: ProtocolOption = "physical",
    crop: CropOption = 256,
    seed: SeedOption = 0,
    amp_dtype: AmpOption = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Manifest of the pictures' images; the embedded set by default.")
    ] = None,
    methods: MethodsOption = None,
) -> None:
    """Train, evaluate, and write all tables and figures; run it again to resume."""
    from ..reproduce.scoring import SHIPPED, TABLE_REFERENCES

    failures = []
    common: dict[str, Any] = {"output": output, "methods": methods}
    scored: dict[str, Any] = {"split": split, "protocol": protocol, "crop": crop, "seed": seed, "amp_dtype": amp_dtype}
    scored |= {"limit": 1 if quick and limit is None else limit}
    scored |= {"only": [*TABLE_REFERENCES, *only, *SHIPPED] if only else None}
    repeats = {"repeats": 2, "steps": 1} if quick else {}
    tasks: list[tuple[Callable[..., None], dict[str, Any]]] = [
        (train, {"manifest": manifest, "only": only, "settings": settings, "quick": quick}),
        (evaluate, {"manifest": manifest, **scored}),
        (tables, {"docs": docs, "protocol": protocol}),
        (cost, {"docs": docs, "only": only, "settings": settings, **repeats}),
        (figures, {"manifest": pictures, "docs": docs, "protocol": protocol}),
    ]
    for number, (command, arguments) in enumerate(tasks, 1):
        say(f"--- {command.__name__} ({number} of {len(tasks)})")
        try:
            command(**common, **arguments)
        except typer.Exit:
            # The other tasks still run, so that one failed method does not prevent all tables.
            failures.append(command.__name__)
    say(f"results: {_report_folder(output, docs, protocol)}")
    if failures:
        fail(f"some tasks failed, see above: {', '.join(failures)}.")


@app.command()
def robustness(
    manifest: ManifestOption,
    output: OutputOption = Path("runs/robustness"),
    weights: Annotated[Path | None, typer.Option(help="Weights; the bundle's by default.")] = None,
    config: NetworkOption = None,
    bm3d: BM3DOption = False,
    split: SplitOption = "test",
    crop: CropOption = 256,
    limit: ImagesOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
) -> None:
    """Score weights on noise that they were not trained for, and measure how much they change clean images."""
    with user_errors():
        from ..evaluation import EvaluationSettings
        from ..reproduce.robustness import robustness_study

        settings = EvaluationSettings(split=split, crop=crop or None, limit=limit, seed=seed, device=device)
        for path in robustness_study(manifest, output, weights, config, settings, bm3d=bm3d, report=say):
            say(f"wrote {path}")


@app.command()
def protocols(
    manifest: ManifestOption,
    physical_weights: Annotated[
        Path, typer.Option(help="Weights trained under the noise protocol physical.", show_default=False)
    ],
    author_weights: Annotated[
        Path, typer.Option(help="Weights trained under the noise protocol author_code.", show_default=False)
    ],
    output: OutputOption = Path("runs/protocols"),
    config: NetworkOption = None,
    bm3d: BM3DOption = False,
    split: SplitOption = "test",
    crop: CropOption = 256,
    limit: ImagesOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
) -> None:
    """Test networks trained under two noise protocols under both, and compare with the published figures."""
    with user_errors():
        from ..evaluation import EvaluationSettings
        from ..reproduce.protocol_study import protocol_study

        settings = EvaluationSettings(split=split, crop=crop or None, limit=limit, seed=seed, device=device)
        weights = {"physical": physical_weights, "author_code": author_weights}
        for path in protocol_study(manifest, output, weights, config, settings, bm3d=bm3d, report=say):
            say(f"wrote {path}")


def _report_folder(output: Path, docs: Path | None, protocol: str = "physical") -> Path:
    """Results of the default protocol are written to the folder itself, those of others to a subfolder."""
    folder = output / "report" if docs is None else docs
    return folder if protocol == "physical" else folder / protocol
