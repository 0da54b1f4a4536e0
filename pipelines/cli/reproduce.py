# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise reproduce``: the paper's comparison, from training to tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ...data_manifest import build_embedded
from ..evaluation import read_scores
from ..reproduce.budget import LIMITED, parse_settings
from ..reproduce.cost import measure_costs, write_cost_table
from ..reproduce.figures import draw_examples, draw_validation_curves
from ..reproduce.methods import choose_methods, read_methods
from ..reproduce.protocol_study import protocol_study
from ..reproduce.robustness import robustness_study
from ..reproduce.scoring import SHIPPED, TABLE_REFERENCES, ScoringSetup, score_methods, scores_folder
from ..reproduce.tables import write_tables
from ..reproduce.training import read_marker, train_methods
from .console import fail, fail_if_any, say, user_errors

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train the compared methods at an equal budget; build tables and figures.")

ManifestOption = Annotated[Path, typer.Option(help="Manifest of the images.", show_default=False)]
OutputOption = Annotated[Path, typer.Option(help="Folder of everything; what it holds is kept and gone on with.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")]
MethodsOption = Annotated[
    Path | None, typer.Option(help="Folder of the methods' configs; the bundle's configs/methods by default.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the training config, for all methods; may be repeated.")
]
LimitedOption = Annotated[
    bool, typer.Option("--limit", help="Train for a few steps on a few images: shows that all works, no more.")
]
DocsOption = Annotated[
    Path | None, typer.Option(help="Folder of the tables and figures; OUTPUT/report by default.", show_default=False)
]
ScoredOption = Annotated[
    list[str] | None,
    typer.Option(help=f"Only this method, reference (noisy, ...) or weights ({', '.join(SHIPPED)}); may be repeated."),
]
SplitOption = Annotated[str, typer.Option(help="train, val or test.")]
ProtocolOption = Annotated[str, typer.Option(help="Noise protocol of the scored images.")]
CropOption = Annotated[int, typer.Option(help="Score centre crops of this many pixels a side; 0 for whole images.")]
ImagesOption = Annotated[int | None, typer.Option("--limit", help="At most so many images of each modality.", min=1)]
SeedOption = Annotated[int, typer.Option(help="Base seed of the noise.", min=0)]
AmpOption = Annotated[str | None, typer.Option(help="bfloat16 or float16; float32 by default.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU where there is one.")]
NetworkOption = Annotated[
    Path | None, typer.Option(help="YAML or JSON with the weights' 'network_def'; the bundle's network by default.")
]
BM3DOption = Annotated[
    bool, typer.Option(help="Whether BM3D, told the true noise level, stands beside it (non-commercial licence).")
]
DEFAULT_OUTPUT = Path("runs/reproduce")


@app.command()
def train(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: OnlyOption = None,
    settings: SetOption = None,
    limit: LimitedOption = False,
    methods: MethodsOption = None,
) -> None:
    """Train the compared methods one by one; finished ones are kept, interrupted ones go on."""
    with user_errors():
        chosen = choose_methods(read_methods(methods), only)
        overrides = (LIMITED if limit else {}) | parse_settings(settings or [])
        results = train_methods(chosen, manifest, output, overrides, report=say)
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
    """Score references, shipped weights and every trained method on the same noisy images; scores there are kept."""
    with user_errors():
        setup = ScoringSetup(split, protocol, crop or None, limit, seed, amp_dtype, device)
        fail_if_any(score_methods(read_methods(methods), manifest, output, setup, only, report=say), "not scored")


@app.command()
def tables(
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest of the images; without it nothing is scored, only written.", show_default=False),
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
    """Score what is missing, then write Tables I to VI and the average over the modalities."""
    with user_errors():
        found = read_methods(methods)
        results = []
        if manifest is not None:
            setup = ScoringSetup(split, protocol, crop or None, limit, seed, amp_dtype, device)
            results = score_methods(found, manifest, output, setup, only, report=say)
        scores = scores_folder(output, protocol) / "scores.csv"
        if not scores.exists():
            raise ValueError(f"{scores}: there are no scores yet; name the images with --manifest.")
        markers = {method.name: marker for method in found if (marker := read_marker(output, method.name))}
        for path in write_tables(read_scores(scores), found, _report_folder(output, docs, protocol), markers):
            say(str(path))
        fail_if_any(results, "not scored")


@app.command()
def cost(
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    only: OnlyOption = None,
    settings: SetOption = None,
    repeats: Annotated[int, typer.Option(help="How often an image is denoised for the time.", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="Training steps that are timed.", min=1)] = 5,
    methods: MethodsOption = None,
) -> None:
    """Count and measure every method, then write Table VII; needs no images and no training."""
    with user_errors():
        chosen = choose_methods(read_methods(methods), only)
        overrides = parse_settings(settings or [])
        costs, failed = measure_costs(chosen, output, overrides, repeats=repeats, steps=steps, report=say)
        for path in write_cost_table(costs, _report_folder(output, docs)):
            say(str(path))
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
        found, folder = read_methods(methods), _report_folder(output, docs, protocol)
        if manifest is None:
            manifest = build_embedded(output / "embedded")
        written = draw_validation_curves(found, output, folder)
        written += draw_examples(
            *(found, manifest, output, folder, split, sigma, crop or None, protocol, seed, image), report=say
        )
        for path in written:
            say(str(path))


@app.command(name="all")
def everything(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    docs: DocsOption = None,
    only: OnlyOption = None,
    settings: SetOption = None,
    limit: LimitedOption = False,
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
    """Train, evaluate, and write all tables and figures; run it again to go on where it was stopped."""
    failures = []
    common: dict[str, Any] = {"output": output, "methods": methods}
    scored: dict[str, Any] = {"split": split, "protocol": protocol, "crop": crop, "seed": seed, "amp_dtype": amp_dtype}
    scored |= {"limit": 1 if limit else None, "only": [*TABLE_REFERENCES, *only, *SHIPPED] if only else None}
    quick = {"repeats": 2, "steps": 1} if limit else {}
    tasks: list[tuple[Callable[..., None], dict[str, Any]]] = [
        (train, {"manifest": manifest, "only": only, "settings": settings, "limit": limit}),
        (evaluate, {"manifest": manifest, **scored}),
        (tables, {"docs": docs, "protocol": protocol}),
        (cost, {"docs": docs, "only": only, "settings": settings, **quick}),
        (figures, {"manifest": pictures, "docs": docs, "protocol": protocol}),
    ]
    for command, arguments in tasks:
        say(f"--- {command.__name__}")
        try:
            command(**common, **arguments)
        except typer.Exit:
            # What can be made without it is made: one method that fails must not cost all tables.
            failures.append(command.__name__)
    if failures:
        fail(f"not everything was done, see above: {', '.join(failures)}.")


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
    """Score weights on noise that they were not trained for, and measure what a clean image loses."""
    with user_errors():
        for path in robustness_study(
            *(manifest, output, weights, config, crop or None, limit, split, seed, bm3d, device), report=say
        ):
            say(str(path))


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
    """Test networks trained under two noise protocols under both, beside the published figures."""
    with user_errors():
        for path in protocol_study(
            *(manifest, output, physical_weights, author_weights, config, crop or None, limit, split, seed),
            bm3d=bm3d,
            device=device,
            report=say,
        ):
            say(str(path))


def _report_folder(output: Path, docs: Path | None, protocol: str = "physical") -> Path:
    """The default protocol's results lie in the folder itself, any other's in one below."""
    folder = output / "report" if docs is None else docs
    return folder if protocol == "physical" else folder / protocol
