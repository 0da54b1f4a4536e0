# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise low-dose-ct``: the leave-one-patient-out study on pairs of low- and full-dose CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .denoising.models import CT_MODEL, DEFAULT_MODEL, load_model
from .low_dose_ct.references import REFERENCES
from .low_dose_ct.rows import read_rows
from .low_dose_ct.study import score_folds, study_methods, train_folds
from .low_dose_ct.tables import write_tables
from .reproduce.budget import parse_settings
from .reproduce.methods import choose_methods
from .reproduce_cli import fail, say, user_errors
from .weights import WeightsError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train and judge denoisers on pairs of low- and full-dose CT.")

DEFAULT_OUTPUT = Path("runs/low_dose_ct_study")
LIMITED = {"steps_per_epoch": 2, "max_epochs": 1, "warmup_steps": 1, "val_limit": 1, "train_limit": 2}
READY = {"multimodal": DEFAULT_MODEL, "simulated": CT_MODEL}
TITLES = {
    "quarter_dose": "quarter dose",
    "wiener": "radial Wiener filter",
    "nlm": "non-local means",
    "bm3d": "BM3D",
    "multimodal": "multimodal weights, untuned",
    "simulated": "shipped weights (simulated doses alone)",
}

ManifestOption = Annotated[Path, typer.Option(help="Manifest of the pairs, of two patients or more.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of everything; what it holds is kept and gone on with.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")]


@app.command()
def train(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: OnlyOption = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the training config; may be repeated.")
    ] = None,
    limit: Annotated[bool, typer.Option("--limit", help="A few steps: shows that all works, no more.")] = False,
) -> None:
    """Train each method once a patient, on the pairs of all others; finished trainings are kept."""
    with user_errors():
        chosen = choose_methods(study_methods(), only)
        overrides = (LIMITED if limit else {}) | parse_settings(settings or [])
        results = train_folds(chosen, manifest, output, overrides, report=say)
    failed = [result.name for result in results if result.outcome == "failed"]
    if failed:
        fail(f"not trained: {', '.join(failed)}.")


@app.command()
def evaluate(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this method, reference ({', '.join(REFERENCES)}) or weights ({', '.join(READY)})."),
    ] = None,
    bm3d: Annotated[bool, typer.Option(help="Whether BM3D stands beside them (non-commercial licence).")] = True,
    spacing_mm: Annotated[float, typer.Option(help="Side of a pixel in mm.", min=0.01)] = 0.7,
    window: Annotated[tuple[float, float], typer.Option(help="Centre and width of the clinical window in HU.")] = (
        40.0,
        400.0,
    ),
    docs: Annotated[Path | None, typer.Option(help="Folder of the tables; OUTPUT/report by default.")] = None,
) -> None:
    """Score every method on the patients it was not trained on, and write the tables; scores there are kept."""
    with user_errors():
        methods = study_methods()
        known = [*REFERENCES, *READY, *(method.name for method in methods)]
        unknown = sorted(set(only or ()) - set(known))
        if unknown:
            raise ValueError(f"no method {', '.join(unknown)}; there are {', '.join(known)}.")
        wanted = [name for name in only or known if bm3d or name != "bm3d"]
        models = {}
        for name in (name for name in READY if name in wanted):
            try:
                models[name] = load_model(READY[name])
            except WeightsError as error:
                say(f"{name}: left out: {error}")
        table = score_folds(
            manifest,
            output,
            [method for method in methods if method.name in wanted],
            [name for name in REFERENCES if name in wanted],
            models,
            spacing_mm,
            window,
            report=say,
        )
        titles = TITLES | {method.name: method.title for method in methods}
        for path in write_tables(read_rows(table), docs or output / "report", titles):
            say(f"wrote {path}")
