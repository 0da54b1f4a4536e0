# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise denoise``: files and folders from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..denoising.settings import DEFAULT_MEMORY, DenoisingSettings
from ..engines.base import ENGINES, PRECISIONS
from .console import FAILED, USAGE, say, say_error, user_errors
from .interrupt import second_interrupt_ends
from .options import DeviceOption

if TYPE_CHECKING:
    from ..denoising.run import Outcome

__all__ = ["denoise"]

STOPPED = "interrupted; no file is half-written, and the same command resumes the run."
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def denoise(
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="An image, a DICOM series' folder, or a tree of folders.")
    ],
    output_path: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A file for a file, a folder for a folder; file names are kept.")
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A bundle's name (NAME:commercial for its weights without non-commercial images), a bundle's folder "
            "or a weights file; auto takes the CT model for CT if it is there, and the multimodal model otherwise."
        ),
    ] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON with 'network_def', for a weights file of another network.")
    ] = None,
    device: DeviceOption = None,
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)}; auto is the fastest installed.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(help=f"{', '.join(PRECISIONS)}; auto is bfloat16 for 8-bit images if the device has it natively."),
    ] = "auto",
    strength: Annotated[float, typer.Option(help="0 copies the input, 1 denoises fully.", min=0.0, max=1.0)] = 1.0,
    tile_size: Annotated[
        int | None, typer.Option(help="Side of tiles in pixels; the result does not depend on it.", min=16)
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Working memory beyond the images, such as 512M or 4G; larger images are tiled.")
    ] = f"{DEFAULT_MEMORY // 2**30}G",
    modality: Annotated[
        str | None, typer.Option(help="Modality, if the files do not state it: ct for Hounsfield units.")
    ] = None,
    intensity_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Values that stand for black and white, in the unit of the images."),
    ] = None,
    slice_axis: Annotated[
        int | None,
        typer.Option(help="Axis along which volumes are cut into slices; by default the coarsest.", min=0, max=2),
    ] = None,
    noise_map: Annotated[
        bool, typer.Option("--noise-map", help="Also write the removed noise: <name>_removed, float32.")
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Check that no structure is removed: report.html, audit.json and pictures in OUTPUT/noisewise_audit; "
            "for a single file in NAME_audit beside its result.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files and results of other settings.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Number of threads that read, and of threads that write, beside the denoising.", min=1)
    ] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers see the same paths.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the images and their results without denoising.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name the files that are not images.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print warnings and failures only.")] = False,
) -> None:
    """Denoise an image, a DICOM series or a tree of folders; everything but the pixels stays the same.

    The same command resumes a run over a folder that was stopped, by the record in OUTPUT/.noisewise/ledger.jsonl.
    Without --overwrite, only results of this command are ever replaced.
    """
    out, errors = Console(quiet=quiet), Console(stderr=True)
    with second_interrupt_ends(), user_errors(status=USAGE, interrupted=STOPPED):
        settings = DenoisingSettings(
            model=model,
            config=config,
            engine=engine,
            precision=precision,
            device=device,
            tile_size=tile_size,
            memory=_bytes(memory),
            strength=strength,
            modality=None if modality is None else modality.lower(),
            intensity_range=intensity_range,
            slice_axis=slice_axis,
            noise_map=noise_map,
            audit=audit,
        )
        # PyTorch and the readers of files take seconds to import. Help and refusals need none of them.
        from ..denoising.sources import find_sources

        found = find_sources(input_path, output_path, noise_map, audit)
        from .run_display import RunDisplay, plan_table, say_found

        say_found(found, out, verbose)
        if dry_run:
            out.print(plan_table(found))
            return
        from ..denoising import audit_report, run

        display = RunDisplay(found.sources, out, errors)
        with display:
            run.denoise_found(found, settings, overwrite, display, _runner(workers, cluster))
        if found.audit_folder is not None:
            for line in audit_report.write_audit_report(found.audit_folder, display.outcomes, found.root):
                say_error(line, "yellow", errors)
            from ..denoising import review

            results = review.results_of_run(display.outcomes, settings, found.root)
            page = review.write_review(found.audit_folder / review.PAGE, results)
            say(f"audit: {page}", console=out)
    out.print(display.summary(found))
    say(f"results: {found.output_root if found.is_tree else found.sources[0].outputs[0]}", console=out)
    if any(outcome.failures or outcome.state == "left" for outcome in display.outcomes):
        raise typer.Exit(FAILED)


def _runner(workers: int, cluster: str | None) -> Callable[..., list[Outcome]]:
    """The function that denoises the sources, in this process or on a cluster."""
    if cluster is None:
        from ..denoising.run import run_sources

        return partial(run_sources, workers=workers)
    from ..denoising.cluster import run_on_cluster

    return partial(run_on_cluster, address=cluster)


def _bytes(text: str) -> int:
    """``"512M"`` as a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise ValueError(f"--memory: expected a size such as 512M or 4G, got {text!r}.")
    return int(float(match[1]) * UNITS[match[2].upper()])
