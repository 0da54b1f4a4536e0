# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise manifest``: build, split, verify and fetch manifests, and list the public sources of images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from ...data_manifest import (
    PRESETS,
    SPLITS,
    Manifest,
    ManifestError,
    Problem,
    anatomy_of,
    build_embedded,
    build_low_dose_ct,
    build_manifest,
    build_preset,
    fetch_manifest,
    get_source,
    list_sources,
    split_by_subject,
    verify_manifest,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Manifests: which images there are, and which split each is in.")
console = Console()
errors = Console(stderr=True)

ManifestArgument = Annotated[Path, typer.Argument(help="Manifest to read.", show_default=False)]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Manifest to write.", show_default=False)]
AbsoluteOption = Annotated[bool, typer.Option("--absolute", help="Write absolute paths.")]
SeedOption = Annotated[int, typer.Option(help="Another seed gives another choice of subjects.")]


@app.command()
def build(
    root: Annotated[Path, typer.Argument(help="Folder of PNG, JPEG, TIFF, NIfTI or DICOM files.", show_default=False)],
    out: OutOption,
    modality: Annotated[
        str | None, typer.Option(help="mri, xray, ct, skin, microscopy or another word; DICOM files tell it.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Name of the collection; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the images.")] = "",
    split: Annotated[str, typer.Option(help="train, val or test, for all images; see also 'split'.")] = "",
    subject_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; its first group in the path is the subject.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Secret for hashing DICOM's PatientID.", envvar="NOISEWISE_SALT")] = "",
    table: Annotated[
        Path | None,
        typer.Option(help="CSV: file, and any of modality, source, subject, split, licence, target, kernel."),
    ] = None,
    include: Annotated[str, typer.Option(help="Shell pattern of the files to take.")] = "*",
    exclude: Annotated[str | None, typer.Option(help="Shell pattern of the files to leave.")] = None,
    offset: Annotated[
        float | None, typer.Option(help="What was added to HU before CT was stored, such as 1024.")
    ] = None,
    intensity: Annotated[
        tuple[float, float] | None, typer.Option(help="Intensities that map to 0 and 1, in place of the rule.")
    ] = None,
    range_per: Annotated[
        str, typer.Option(help="'image', or 'subject' where one volume was cut into many files.")
    ] = "image",
    every_nth: Annotated[int, typer.Option(help="Take every n-th slice of a volume.", min=1)] = 1,
    min_content: Annotated[
        float, typer.Option(help="Leave out slices of a volume that hold less than this part.", min=0, max=1)
    ] = 0.05,
    min_size: Annotated[int, typer.Option(help="Leave out images with a smaller side, in pixels.", min=0)] = 0,
    skip_unusable: Annotated[bool, typer.Option("--skip-unusable", help="Leave unusable files out.")] = False,
    absolute: AbsoluteOption = False,
    workers: Annotated[int | None, typer.Option(help="Threads.", min=1)] = None,
) -> None:
    """Build a manifest from a folder of images, one line an image or slice."""
    with _user_errors(), _progress("reading") as progress:
        manifest = build_manifest(
            root,
            out,
            modality=modality,
            source=source,
            licence=licence,
            split=split,
            subject_pattern=subject_pattern,
            salt=salt,
            table=table,
            include=include,
            exclude=exclude,
            offset=offset,
            intensity=intensity,
            range_per=range_per,
            every_nth=every_nth,
            min_content=min_content,
            min_size=min_size,
            skip_unusable=skip_unusable,
            absolute=absolute,
            workers=workers,
            progress=progress,
        )
    unusable = [problem for problem in manifest.skipped if problem.kind == "unusable"]
    _print_problems(unusable, "left out, unusable")
    others = len(manifest.skipped) - len(unusable)
    if others:
        console.print(f"{others} nearly empty slices or small images were left out.")
    _print_written(manifest, out)


@app.command("low-dose-ct")
def low_dose_ct(
    root: Annotated[
        Path | None, typer.Argument(help="Folder of a Mayo collection, or any whose names tell full and low dose.")
    ] = None,
    out: OutOption = ...,
    low: Annotated[Path | None, typer.Option(help="In place of the folder: low-dose DICOM files.")] = None,
    full: Annotated[Path | None, typer.Option(help="Their full-dose partners.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of the collection; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the images.")] = "",
    kernel: Annotated[str | None, typer.Option(help="This kernel only: soft, sharp, or a name such as B30f.")] = None,
    thickness: Annotated[float | None, typer.Option(help="This slice thickness only, in mm.", min=0)] = None,
    every_nth: Annotated[int, typer.Option(help="Take every n-th pair of a series.", min=1)] = 1,
    subject_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; its first group in the path is the subject.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Secret for hashing DICOM's PatientID.", envvar="NOISEWISE_SALT")] = "",
    paediatric: Annotated[bool, typer.Option("--paediatric", help="Take patients under 18 years.")] = False,
    metal: Annotated[bool, typer.Option("--metal", help="Take images with metal.")] = False,
    truncated: Annotated[bool, typer.Option("--truncated", help="Take images whose field cuts the body.")] = False,
    absolute: AbsoluteOption = False,
    workers: Annotated[int | None, typer.Option(help="Threads.", min=1)] = None,
) -> None:
    """Pair low-dose with full-dose CT slices by place, kernel and thickness, and check each pair."""
    with _user_errors(), _progress("pairing") as progress:
        manifest = build_low_dose_ct(
            root,
            out,
            low=low,
            full=full,
            source=source,
            licence=licence,
            kernel=kernel,
            thickness=thickness,
            every_nth=every_nth,
            subject_pattern=subject_pattern,
            salt=salt,
            paediatric=paediatric,
            metal=metal,
            truncated=truncated,
            absolute=absolute,
            workers=workers,
            progress=progress,
        )
    for kind in dict.fromkeys(problem.kind for problem in manifest.skipped):
        _print_problems([problem for problem in manifest.skipped if problem.kind == kind], f"left out, {kind}")
    _print_written(manifest, out)
    for (name, anatomy), count in sorted(Counter((r.kernel, anatomy_of(r.subject)) for r in manifest).items()):
        console.print(f"{count} pairs, kernel {escape(name)}{anatomy and f', {anatomy}'}", highlight=False)


@app.command()
def split(
    manifest: ManifestArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Manifest to write; by default the one read.")] = None,
    fractions: Annotated[
        tuple[float, float, float], typer.Option(help="Shares of train, val and test; their sum is 1.")
    ] = (0.8, 0.1, 0.1),
    counts: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Images of each modality for train, val and test, in place of the shares."),
    ] = None,
    seed: SeedOption = 0,
    absolute: AbsoluteOption = False,
) -> None:
    """Split a manifest into train, val and test by subject; no subject is in two of them."""
    with _user_errors():
        read = Manifest.read(manifest)
        done = Manifest(split_by_subject(read, fractions, counts, seed))
        target = out or manifest
        done.write(target, absolute=absolute)
    _print_written(done, target)
    _print_empty(done, [name for name, share in zip(SPLITS, counts or fractions) if share])


@app.command()
def verify(
    manifest: ManifestArgument,
    quick: Annotated[bool, typer.Option("--quick", help="Don't read the files, only look whether they exist.")] = False,
    min_size: Annotated[int, typer.Option(help="Least side in pixels, such as the patch size.", min=0)] = 0,
    workers: Annotated[int | None, typer.Option(help="Threads.", min=1)] = None,
) -> None:
    """Check a manifest: missing, corrupt, duplicate, leaking, mismatched or too small images are named."""
    with _user_errors(), _progress("verifying") as progress:
        read = Manifest.read(manifest)
        if not len(read):
            raise ManifestError(f"{manifest} holds no image.")
        problems = verify_manifest(read, decode=not quick, min_size=min_size, workers=workers, progress=progress)
    if problems:
        _print_problems(problems, "problems", everything=True)
        _fail(f"{manifest}: {len(problems)} problem(s) in {len(read)} images.")
    _print_counts(read)
    console.print(f"[green]{escape(str(manifest))}: {len(read)} images, no problem found.[/green]")


@app.command()
def fetch(
    manifest: ManifestArgument,
    folder: Annotated[Path, typer.Option(help="Where the images go.", show_default=False)],
    out: OutOption,
) -> None:
    """Download the images of a manifest that are named by URL, and check their checksums."""
    with _user_errors(), _progress("fetching") as progress:
        fetched = fetch_manifest(manifest, folder, out, progress)
    _print_written(fetched, out)


@app.command()
def embedded(
    folder: Annotated[Path, typer.Argument(help="Where the manifest and exported slices go.", show_default=False)],
) -> None:
    """Write the manifest of the embedded set: real images inside Python packages, no download."""
    with _user_errors(), _progress("reading") as progress:
        path = build_embedded(folder, progress)
        manifest = Manifest.read(path)
    _print_written(manifest, path)
    console.print("No package ships dermoscopy, so there is no skin image: noisewise manifest sources ham10000")


@app.command()
def sources(
    name: Annotated[str | None, typer.Argument(help="Show how to get this one.", show_default=False)] = None,
    modality: Annotated[str | None, typer.Option(help="Only sources of this modality.")] = None,
) -> None:
    """List the public sources of images, or show how to get one and build its manifest."""
    with _user_errors():
        if name is None:
            table = Table(Column("name", no_wrap=True), "modality", "paper", "what", "licence", show_lines=True)
            for source in list_sources(modality):
                table.add_row(source.name, source.modality, "yes" if source.paper else "", source.title, source.licence)
            console.print(table)
            console.print("How to get one: noisewise manifest sources NAME")
            return
        source = get_source(name)
    # Commands must stay whole to be copied, so nothing here is wrapped.
    print(source.describe())


@app.command()
def preset(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the collections.", show_default=False)],
    out: OutOption,
    name: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "paper",
    allow_fewer: Annotated[bool, typer.Option("--allow-fewer", help="Shrink where images are missing.")] = False,
    seed: SeedOption = 0,
    absolute: AbsoluteOption = False,
) -> None:
    """Choose the images of the paper's training (24,000 train, 1,000 val, 1,000 test a modality) by subject."""
    with _user_errors():
        chosen = build_preset(manifests, None, name, allow_fewer, seed)
        chosen.write(out, absolute=absolute)
    _print_written(chosen, out)


@contextmanager
def _user_errors() -> Iterator[None]:
    """What a user can put right is said in one message, without a traceback."""
    try:
        yield
    except (ManifestError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    errors.print(f"[bold red]error:[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    raise typer.Exit(1)


@contextmanager
def _progress(word: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(word, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_problems(problems: list[Problem], title: str, everything: bool = False) -> None:
    if not problems:
        return
    console.print(f"{title}: {len(problems)}", highlight=False)
    for problem in problems if everything else problems[:20]:
        # One line a problem, unwrapped: it is read by grep as often as by eyes.
        console.print(f"[yellow]{problem.kind}[/yellow] {escape(f'{problem.path}: {problem.cause}')}", soft_wrap=True)
    if not everything and len(problems) > 20:
        console.print(f"... and {len(problems) - 20} more")


def _print_counts(manifest: Manifest) -> None:
    counts = manifest.counts()
    columns = [*SPLITS, ""] if any(not split for _, split in counts) else list(SPLITS)
    table = Table("modality", *(column or "no split" for column in columns), "subjects")
    for modality in sorted({modality for modality, _ in counts}):
        subjects = len({record.subject_key for record in manifest if record.modality == modality})
        table.add_row(modality, *(str(counts.get((modality, column), 0)) for column in columns), str(subjects))
    console.print(table)


def _print_empty(manifest: Manifest, splits: list[str]) -> None:
    counts = manifest.counts()
    for modality in sorted({modality for modality, _ in counts}):
        empty = [name for name in splits if not counts.get((modality, name))]
        if empty:
            console.print(
                f"[yellow]note:[/yellow] {escape(modality)} has too few subjects for {' and '.join(empty)}; "
                "see 'build --subject-pattern' if its images show more subjects than that.",
                soft_wrap=True,
            )


def _print_written(manifest: Manifest, path: Path) -> None:
    _print_counts(manifest)
    console.print(f"{len(manifest)} images: {escape(str(path))}", soft_wrap=True, highlight=False)
