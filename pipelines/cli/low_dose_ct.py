# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise low-dose-ct``: the leave-one-patient-out study on pairs of low- and full-dose CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...listing import check_known
from ..denoising.settings import CT_MODEL, DEFAULT_MODEL
from .console import fail_if_any, say, user_errors
from .options import ImagesOption, OnlyOption, OutputOption, QuickOption, SplitOption

if TYPE_CHECKING:
    from ..low_dose_ct.folds import ComparedDenoisers

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
ScoredOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Only this method, reference (quarter_dose, wiener, nlm, bm3d) or weights ({', '.join(READY)})."
    ),
]
BM3DOption = Annotated[bool, typer.Option(help="Whether to score BM3D as well (non-commercial license).")]
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
    quick: QuickOption = False,
) -> None:
    """Train each method once per patient, on the pairs of all other patients; finished trainings are kept."""
    with user_errors():
        from ..low_dose_ct.folds import study_methods, train_folds
        from ..reproduce.budget import parse_settings
        from ..reproduce.methods import choose_methods

        chosen = choose_methods(study_methods(), only)
        overrides = (LIMITED if quick else {}) | parse_settings(settings or [])
        results = train_folds(chosen, manifest, output, overrides, report=say)
    say(f"results: {output / 'folds'}")
    fail_if_any(results, "not trained")


@app.command()
def evaluate(
    manifest: ManifestOption,
    output: OutputOption = DEFAULT_OUTPUT,
    only: ScoredOption = None,
    bm3d: BM3DOption = True,
    spacing_mm: SpacingOption = 0.7,
    window: Annotated[tuple[float, float], typer.Option(help="Center and width of the clinical window in HU.")] = (
        40.0,
        400.0,
    ),
    docs: DocsOption = None,
) -> None:
    """Score every method on the patients it was not trained on, and write the tables; existing scores are kept."""
    with user_errors():
        from ..low_dose_ct.folds import score_folds, study_methods
        from ..low_dose_ct.rows import read_rows
        from ..low_dose_ct.tables import write_score_tables

        table = score_folds(manifest, output, _chosen(only, bm3d), spacing_mm, window, report=say)
        titles = TITLES | {method.name: method.title for method in study_methods()}
        for path in write_score_tables(read_rows(table), docs or output / "report", titles):
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
    """Insert low-contrast disks into the pairs and let a model observer detect them before and after denoising."""
    with user_errors():
        from ...data_manifest import Manifest
        from ..low_dose_ct.folds import fold_denoisers, read_pair, study_methods
        from ..low_dose_ct.lesion_study import QUARTER_DOSE, LesionTask, lesion_study
        from ..low_dose_ct.tables import write_lesion_tables

        compared = _chosen(only, bm3d)
        references = [name for name in compared.references if name != QUARTER_DOSE]  # the study has a row of its own
        by_method = fold_denoisers(manifest, output, replace(compared, references=references), report=say)
        pairs = (read_pair(record) for record in Manifest.read(manifest))
        rows = lesion_study(pairs, by_method, LesionTask(spacing_mm=spacing_mm))
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
        from ..low_dose_ct.calibration import calibrate

        for path in calibrate(manifest, tube_currents, output, spacing_mm=spacing_mm, report=say):
            say(f"wrote {path}")


@app.command()
def picture(
    output: Annotated[Path, typer.Argument(help="The PNG to write.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Normal-dose CT; the embedded images by default.", show_default=False)
    ] = None,
    split: SplitOption = "test",
    model: Annotated[str, typer.Option(help="A bundle's name or a weights file.")] = CT_MODEL,
    limit: ImagesOption = 1,
    spacing_mm: SpacingOption = 0.7,
) -> None:
    """Draw the normal dose, simulated low doses of a soft and a sharp kernel, the denoised images and the residuals."""
    with user_errors():
        import numpy as np

        from ...data_manifest import Manifest, build_embedded
        from ...transforms.intensity import CT_RANGE
        from ..denoising import Denoiser
        from ..low_dose_ct.dose_picture import draw_low_dose, read_normal_dose

        if manifest is None:
            manifest = build_embedded(Path("runs") / "embedded")
        records = Manifest.read(manifest).select(split, modalities=["ct"], limit_per_modality=limit)
        slices = [read_normal_dose(record) for record in records]
        denoiser = Denoiser(model, precision="float32")

        def denoise(low: np.ndarray) -> np.ndarray:
            return denoiser.denoise_slices(low[None].astype(np.float32), CT_RANGE)[0]

        say(f"wrote {draw_low_dose(slices, denoise, output, spacing_mm=spacing_mm)}")


def _chosen(only: list[str] | None, bm3d: bool) -> ComparedDenoisers:
    """Select the methods, references and ready weights that were asked for."""
    from ..bundle.weights import WeightsError
    from ..denoising import Denoiser
    from ..low_dose_ct.folds import ComparedDenoisers, study_methods
    from ..low_dose_ct.references import FOLD_REFERENCES

    methods = study_methods()
    known = [*FOLD_REFERENCES, *READY, *(method.name for method in methods)]
    check_known("method", only or (), known)
    wanted = [name for name in only or known if bm3d or name != "bm3d"]
    denoisers = {}
    for name in (name for name in READY if name in wanted):
        try:
            denoisers[name] = Denoiser(READY[name], precision="float32")
        except (WeightsError, FileNotFoundError) as error:
            say(f"{name}: left out: {error}")
    return ComparedDenoisers(
        [method for method in methods if method.name in wanted],
        [name for name in FOLD_REFERENCES if name in wanted],
        denoisers,
    )
