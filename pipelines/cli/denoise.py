# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise denoise``: files and folders from the command line."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from ..denoising.audit_report import write_audit_report
from ..denoising.cluster import run_on_cluster
from ..denoising.denoiser import DEFAULT_MEMORY
from ..denoising.run import Observer, Outcome, denoise_found, run_sources
from ..denoising.settings import DenoisingOptions
from ..denoising.sources import Found, Source, find_sources
from ..engines.base import ENGINES, PRECISIONS

__all__ = ["denoise"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def denoise(
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="An image, a DICOM series' folder, or a tree of folders.")
    ],
    output_path: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A file for a file, a folder for a folder: names are kept.")
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A bundle's name (NAME:commercial for its weights without non-commercial images), a bundle's folder "
            "or a weights file; auto takes the CT model for CT where there is one, and the multimodal model otherwise."
        ),
    ] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON with 'network_def', for a weights file of another network.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU where there is one.")] = None,
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)}; auto is the fastest installed.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(PRECISIONS)}; auto is bfloat16 for 8-bit images where the device has it natively."
        ),
    ] = "auto",
    strength: Annotated[float, typer.Option(help="0 copies the input, 1 denoises fully.", min=0.0, max=1.0)] = 1.0,
    tile_size: Annotated[
        int | None, typer.Option(help="Side of tiles in pixels; the result does not depend on it.", min=16)
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Working memory beyond the images, such as 512M or 4G; larger images are tiled.")
    ] = f"{DEFAULT_MEMORY // 2**30}G",
    modality: Annotated[str | None, typer.Option(help="What the files do not say: ct for Hounsfield units.")] = None,
    intensity_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Values that stand for black and white, in the images' own unit."),
    ] = None,
    slice_axis: Annotated[
        int | None, typer.Option(help="Axis along which volumes are cut; the coarsest by default.", min=0, max=2)
    ] = None,
    noise_map: Annotated[
        bool, typer.Option("--noise-map", help="Write what was removed as well: <name>_removed, float32.")
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="Check that no structure is removed: report and pictures in OUTPUT/noisewise_audit."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist, and results of other settings.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Threads that read, and as many that write, beside the denoising.", min=1)
    ] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers see the same paths.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done, and do nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name the files that are no images.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print warnings and failures only.")] = False,
) -> None:
    """Denoise an image, a DICOM series or a tree of folders; all but the pixels stays as it was.

    A folder's run that was stopped goes on with the same command: OUTPUT/.noisewise/ledger.jsonl knows what is done.
    No file that is not a result of it is ever replaced without --overwrite.
    """
    out, errors = Console(quiet=quiet), Console(stderr=True)
    try:
        options = DenoisingOptions(
            model=model,
            config=None if config is None else str(config),
            engine=engine,
            precision=precision,
            device=device,
            strength=strength,
            tile_size=tile_size,
            memory=_bytes(memory),
            modality=None if modality is None else modality.lower(),
            intensity_range=intensity_range,
            slice_axis=slice_axis,
            noise_map=noise_map,
            audit=audit,
        )
        found = find_sources(input_path, output_path, noise_map, audit)
        _print_found(found, out, verbose)
        if dry_run:
            out.print(_plan(found))
            return
        observer = _Display(found.sources, out, errors)
        run = partial(run_sources, workers=workers) if cluster is None else partial(run_on_cluster, address=cluster)
        with observer:
            denoise_found(found, options, overwrite, observer, run)
        if found.audit_folder is not None:
            for line in write_audit_report(found.audit_folder, observer.outcomes, found.root):
                _error(errors, line, "yellow")
            _print(out, f"audit: {found.audit_folder}")
    except KeyboardInterrupt:
        _error(errors, "interrupted; no file is half-written, and the same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("NOISEWISE_TRACEBACK"):
            raise
        _error(errors, str(error))
        raise typer.Exit(USAGE) from error
    out.print(observer.summary(found))
    if any(outcome.failures or outcome.state == "left" for outcome in observer.outcomes):
        raise typer.Exit(FAILED)


class _Display(Observer):
    """Progress over files and slices; failures as they come."""

    def __init__(self, sources: list[Source], out: Console, errors: Console) -> None:
        self.outcomes: list[Outcome] = []
        self.models: set[str] = set()
        self.errors = errors
        self.progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=out.quiet or not errors.is_terminal,
        )
        self.files = self.progress.add_task("files", total=len(sources))
        self.slices = self.progress.add_task("slices", total=None)

    def __enter__(self) -> _Display:
        self.begin = time.perf_counter()
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
        self.seconds = time.perf_counter() - self.begin

    def started(self, source: Source, slices: int, model: str) -> None:
        if model not in self.models:
            self.models.add(model)
            # Whatever else is not shown, the choice of the model is.
            _print(Console(), f"model: {model}")
        self.progress.reset(self.slices, total=slices, description=_shown(source.paths[0].name))

    def advanced(self, slices: float) -> None:
        self.progress.advance(self.slices, slices)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.progress.advance(self.files)
        for path, cause in outcome.failures:
            _error(self.errors, f"{path}: {cause}")

    def summary(self, found: Found) -> Table:
        """What became of everything, in one table."""
        states = Counter(outcome.state for outcome in self.outcomes)
        table = Table(show_header=False)
        table.add_row("done", str(states["done"]))
        table.add_row("skipped, done before", str(states["skipped"]))
        table.add_row("failed", str(sum(len(outcome.failures) for outcome in self.outcomes)))
        if states["left"]:
            table.add_row("left, for lack of space", str(states["left"]))
        if found.no_images:
            table.add_row("no images", str(len(found.no_images)))
        table.add_row("seconds", f"{self.seconds:.1f}")
        records = [outcome.record for outcome in self.outcomes if outcome.record is not None]
        if records:
            table.add_row("noise removed", _removed(records))
        return table


def _removed(records: list[dict[str, Any]]) -> str:
    shares = [record["removed_share"] for record in records]
    if len(records) == 1:
        unit = f" {records[0]['unit']}".rstrip()
        return f"standard deviation {records[0]['removed']:.3g}{unit}, {shares[0]:.2%} of the intensity range"
    return (
        f"standard deviation {statistics.median(shares):.2%} of the intensity range (median; "
        f"{min(shares):.2%} to {max(shares):.2%})"
    )


def _print_found(found: Found, out: Console, verbose: bool) -> None:
    for folder in found.excluded:
        _print(out, f"{folder}: holds results, left out")
    if found.no_images:
        count = len(found.no_images)
        _print(out, "1 file is no image" if count == 1 else f"{count} files are no images")
    for path, cause in found.no_images.items() if verbose else ():
        _print(out, f"{path}: {cause}")


def _plan(found: Found) -> Table:
    table = Table(title="what would be done")
    for column in ("source", "format", "files", "MB", "output"):
        table.add_column(column, justify="right" if column in ("files", "MB") else "left", overflow="fold")
    for source in found.sources:
        size = sum(path.stat().st_size for path in source.paths) / 1e6
        target = source.outputs[0] if len(source.outputs) == 1 else source.outputs[0].parent
        there = " (exists)" if any(path.exists() for path in source.all_outputs) else ""
        outputs = [f"{target}{there}", *map(str, source.all_outputs[len(source.outputs) :])]
        cells = (source.name, source.kind, str(len(source.paths)), f"{size:.1f}", "\n".join(outputs))
        table.add_row(*(escape(_shown(cell)) for cell in cells))
    return table


def _bytes(text: str) -> int:
    """``"512M"`` as a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise ValueError(f"--memory: expected a size such as 512M or 4G, got {text!r}.")
    return int(float(match[1]) * UNITS[match[2].upper()])


def _error(console: Console, text: str, style: str = "red") -> None:
    _print(console, text, style)


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(_shown(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _shown(text: object) -> str:
    """File names need not be text: what is none is shown as bytes are."""
    return str(text).encode("utf-8", "backslashreplace").decode()
