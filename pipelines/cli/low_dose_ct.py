# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise low-dose-ct``: the leave-one-patient-out study on pairs of low- and full-dose CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ...data_manifest import Manifest, build_embedded
from ...transforms.intensity import CT_RANGE
from ..bundle.weights import WeightsError
from ..denoising import Denoiser
from ..denoising.models import CT_MODEL, DEFAULT_MODEL
from ..low_dose_ct.calibration import calibrate
from ..low_dose_ct.lesion_study import lesion_study
from ..low_dose_ct.picture import draw_low_dose, read_normal_dose
from ..low_dose_ct.references import REFERENCES
from ..low_dose_ct.rows import read_rows
from ..low_dose_ct.study import fold_denoisers, read_pair, score_folds, study_methods, train_folds
from ..low_dose_ct.tables import write_lesion_tables, write_tables
from ..reproduce.budget import parse_settings
from ..reproduce.methods import Method, choose_methods
from .console import fail_if_any, say, user_errors

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train and judge denoisers on pairs of low- and full-dose CT.")

DEFAULT_OUTPUT = Path("runs/low_dose_ct_study")
LIMITED = {"steps_per_epoch": 2, "max_epochs": 1, "warmup_steps": 1, "val_limit": 1, "train_limit": 2}
READY = {"multimodal": DEFAULT_MODEL, "simulated": CT_MODEL, "commercial": f"{CT_MODEL}:commercial"}
TITLES = {
    "quarter_dose": "quarter dose",
    "wiener": "radial Wiener filter",
    "nlm": "non-local means",
    "bm3d": "BM3D",
    "multimodal": "multimodal weights, untuned",
    "simulated": "shipped weights (simulated doses alone)",
    "commercial": "shipped weights without HAM10000",
}

ManifestOption = Annotated[Path, typer.Option(help="Manifest of the pairs, of two patients or more.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of everything; what it holds is kept and gone on with.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")]
ScoredOption = Annotated[
    list[str] | None,
    typer.Option(help=f"Only this method, reference ({', '.join(REFERENCES)}) or weights ({', '.join(READY)})."),
]
BM3DOption = Annotated[bool, typer.Option(help="Whether BM3D stands beside them (non-commercial licence).")]
SpacingOption = Annotated[float, typer.Option(help="Side of a pixel in mm.", min=0.01)]
DocsOption = Annotated[Path | None, typer.Option(help="Folder of the tables; OUTPUT/report by default.")]


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
    fail_if_any(results, "not trained")


@app.command()
def evaluate(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: ScoredOption = None,
    bm3d: BM3DOption = True,
    spacing_mm: SpacingOption = 0.7,
    window: Annotated[tuple[float, float], typer.Option(help="Centre and width of the clinical window in HU.")] = (
        40.0,
        400.0,
    ),
    docs: DocsOption = None,
) -> None:
    """Score every method on the patients it was not trained on, and write the tables; scores there are kept."""
    with user_errors():
        methods, references, denoisers = _chosen(only, bm3d)
        table = score_folds(
            *(manifest, output, methods, references, denoisers, spacing_mm, window),
            report=say,
        )
        titles = TITLES | {method.name: method.title for method in study_methods()}
        for path in write_tables(read_rows(table), docs or output / "report", titles):
            say(f"wrote {path}")


@app.command()
def lesions(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: ScoredOption = None,
    bm3d: BM3DOption = True,
    spacing_mm: SpacingOption = 0.7,
    docs: DocsOption = None,
) -> None:
    """Insert low-contrast disks into the pairs and let a model observer look for them before and after denoising."""
    with user_errors():
        methods, references, denoisers = _chosen(only, bm3d)
        references = [name for name in references if name != "quarter_dose"]  # the study's own row
        by_method = fold_denoisers(manifest, output, methods, references, denoisers, report=say)
        pairs = (read_pair(record) for record in Manifest.read(manifest))
        rows = lesion_study(pairs, by_method, spacing_mm=spacing_mm)
        titles = TITLES | {"full_dose": "full dose"} | {method.name: method.title for method in study_methods()}
        for path in write_lesion_tables(rows, docs or output / "report", titles):
            say(f"wrote {path}")


@app.command(name="calibrate")
def calibrate_command(
    manifest: ManifestOption,
    tube_currents: Annotated[
        Path, typer.Option(help="CSV with the file of each low dose and its tube current in mA (columns file, mA).")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the tables and the figure.")] = Path(
        "runs/low_dose_ct_calibration"
    ),
    spacing_mm: SpacingOption = 0.7,
) -> None:
    """Compare simulated quarter doses with the real ones: noise level, spectrum and direction."""
    with user_errors():
        for path in calibrate(manifest, tube_currents, output, spacing_mm=spacing_mm, report=say):
            say(f"wrote {path}")


@app.command()
def picture(
    output: Annotated[Path, typer.Argument(help="The PNG to write.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Normal-dose CT; the embedded images by default.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    model: Annotated[str, typer.Option(help="A bundle's name or a weights file.")] = CT_MODEL,
    limit: Annotated[int, typer.Option(help="At most so many slices.", min=1)] = 1,
    spacing_mm: SpacingOption = 0.7,
) -> None:
    """Draw normal dose, simulated low dose of a soft and a sharp kernel, denoised, and what was removed."""
    with user_errors():
        if manifest is None:
            manifest = build_embedded(Path("runs") / "embedded")
        records = Manifest.read(manifest).select(split, modalities=["ct"], limit_per_modality=limit)
        slices = [read_normal_dose(record) for record in records]
        denoiser = Denoiser(model, precision="float32")

        def denoise(low: np.ndarray) -> np.ndarray:
            return denoiser.denoise_slices(low[None].astype(np.float32), CT_RANGE)[0]

        say(f"wrote {draw_low_dose(slices, denoise, output, spacing_mm=spacing_mm)}")


def _chosen(only: list[str] | None, bm3d: bool) -> tuple[list[Method], list[str], dict[str, Denoiser]]:
    """The methods, references and ready weights that were asked for."""
    methods = study_methods()
    known = [*REFERENCES, *READY, *(method.name for method in methods)]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; there are {', '.join(known)}.")
    wanted = [name for name in only or known if bm3d or name != "bm3d"]
    denoisers = {}
    for name in (name for name in READY if name in wanted):
        try:
            denoisers[name] = Denoiser(READY[name], precision="float32")
        except (WeightsError, FileNotFoundError) as error:
            say(f"{name}: left out: {error}")
    return (
        [method for method in methods if method.name in wanted],
        [name for name in REFERENCES if name in wanted],
        denoisers,
    )
