# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The output of ``noisewise denoise``: the plan, the progress and the summary of a run."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from ...transforms.file_types import unsupported_format
from ...transforms.intensity import FoundRange, guess_in_words
from ..denoising.mapping import COMMAND_OPTIONS
from ..denoising.run import Observer, Outcome
from ..denoising.sources import Found, Source
from .console import printable, say, say_error

__all__ = ["RunDisplay", "plan_table", "say_found"]


class RunDisplay(Observer):
    """Shows progress over files and slices, and failures as they come.

    Args:
        sources: the sources of the run.
        out: the console of results.
        errors: the console of failures and progress.
    """

    def __init__(self, sources: list[Source], out: Console, errors: Console) -> None:
        self.outcomes: list[Outcome] = []
        self.models: set[str] = set()
        self.guesses: set[str] = set()
        self.notes: set[str] = set()
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

    def __enter__(self) -> RunDisplay:
        self.begin = time.perf_counter()
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
        self.seconds = time.perf_counter() - self.begin

    def started(self, source: Source, slices: int, model: str) -> None:
        if model not in self.models:
            self.models.add(model)
            # Always print the chosen model, even with --quiet.
            say(f"model: {model}")
        self.progress.reset(self.slices, total=slices, description=printable(source.paths[0].name, lines=False))

    def guessed(self, source: Source, found: FoundRange) -> None:
        if found.guess not in self.guesses:
            self.guesses.add(found.guess)
            line = guess_in_words(found, COMMAND_OPTIONS.stated)
            say_error(f"{printable(source.name)}: {line}", "yellow", self.errors)

    def advanced(self, slices: float) -> None:
        self.progress.advance(self.slices, slices)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.progress.advance(self.files)
        for note in outcome.notes:
            # One note may concern a thousand files.
            if note not in self.notes:
                self.notes.add(note)
                say_error(f"{printable(outcome.source.name, lines=False)}: {note}", "yellow", self.errors)
        for path, cause in outcome.failures:
            say_error(f"error: {printable(path, lines=False)}: {cause}", console=self.errors)

    def summary(self, found: Found) -> Table:
        """All outcomes in one table."""
        states = Counter(outcome.state for outcome in self.outcomes)
        table = Table(show_header=False)
        table.add_row("done", str(states["done"]))
        table.add_row("skipped, done before", str(states["skipped"]))
        table.add_row("failed", str(sum(len(outcome.failures) for outcome in self.outcomes)))
        if states["left"]:
            table.add_row("left, for lack of space", str(states["left"]))
        if found.copies:
            table.add_row("copies of others", str(len(found.copies)))
        unsupported = Counter(map(unsupported_format, found.no_images))
        others = unsupported.pop(None, 0)
        if unsupported:
            kinds = ", ".join(sorted(filter(None, unsupported)))
            table.add_row("unsupported format", f"{sum(unsupported.values())} ({kinds})")
        if others:
            table.add_row("not images", str(others))
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


def say_found(found: Found, out: Console, verbose: bool) -> None:
    """Print which folders and files are left out.

    Args:
        found: the sources.
        out: the console.
        verbose: whether to name each file that is not an image.
    """
    for folder in found.excluded:
        say(f"{printable(folder, lines=False)}: left out, because it holds results", console=out)
    for path, cause in found.copies.items():
        say(f"{printable(path, lines=False)}: {cause}", console=out)
    kinds = Counter(map(unsupported_format, found.no_images))
    count = kinds.pop(None, 0)
    if count:
        say("1 file is not an image" if count == 1 else f"{count} files are not images", console=out)
    for kind, number in sorted(kinds.items(), key=str):
        files = "1 file is" if number == 1 else f"{number} files are"
        say(f"{files} left out: {kind} is not a supported format", "yellow", out)
    for path, cause in found.no_images.items() if verbose else ():
        say(f"{printable(path, lines=False)}: {cause}", console=out)


def plan_table(found: Found) -> Table:
    """The sources and where each result would go.

    Args:
        found: the sources.
    """
    table = Table(title="images to denoise")
    for column in ("source", "format", "files", "MB", "output"):
        table.add_column(column, justify="right" if column in ("files", "MB") else "left", overflow="fold")
    for source in found.sources:
        size = sum(path.stat().st_size for path in source.paths) / 1e6
        target = source.outputs[0] if len(source.outputs) == 1 else source.outputs[0].parent
        there = " (exists)" if any(path.exists() for path in source.all_outputs) else ""
        outputs = [f"{target}{there}", *map(str, source.all_outputs[len(source.outputs) :])]
        cells = (source.name, source.kind, str(len(source.paths)), f"{size:.1f}", "\n".join(outputs))
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table
