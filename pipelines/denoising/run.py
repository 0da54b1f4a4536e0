# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoise many sources: one is denoised while the next is read and the last one written. No failure stops the rest."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...listing import first_names
from ...transforms.intensity import FoundRange
from ..engines.base import EngineError
from ..formats.quiet import quiet_libraries
from ..formats.stack import FormatError, ImageStack
from .denoiser import get_denoiser
from .jobs import DenoisedSource, JobRecord, LoadedSource, denoise_source, read_source, write_source
from .ledger import Ledger, clear_torn_result, is_torn_result, remove_leftovers
from .settings import DenoisingSettings
from .sources import Found, Source

__all__ = [
    "Observer",
    "Outcome",
    "OutputExistsError",
    "RunState",
    "check_outputs",
    "denoise_found",
    "failures_of",
    "fills_disk",
    "recorded_settings",
    "run_sources",
]

SHOWN = 3
NO_SERIES = "has no result, because its series cannot be denoised."
FULL = (errno.ENOSPC, errno.EDQUOT)


class OutputExistsError(ValueError):
    """Results would replace files that noisewise has not written; the message names the first few."""


@dataclass
class Outcome:
    """The outcome of one source.

    Attributes:
        source: the source.
        state: ``"done"``, ``"skipped"`` (done by an earlier run), ``"failed"``, or ``"left"`` (the disk was full).
        failures: file and cause; for ``"done"``, the files of a series that could not be read.
        record: the record of the result, see :meth:`~noisewise.pipelines.denoising.jobs.JobRecord.summary`.
        notes: what a reader of the result should know.
    """

    source: Source
    state: str
    failures: list[tuple[str, str]] = field(default_factory=list)
    record: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


class Observer:
    """Follows a run. The methods do nothing here; they are called in one thread at a time."""

    def started(self, source: Source, slices: int, model: str) -> None:
        """A source with this number of slices is being denoised; ``model`` describes the model in a few words."""

    def guessed(self, source: Source, found: FoundRange) -> None:
        """The intensity range of a source is a guess by its values."""

    def advanced(self, slices: float) -> None:
        """This number of further slices is denoised."""

    def finished(self, outcome: Outcome) -> None:
        """A source is done, skipped or failed."""


def check_outputs(sources: Iterable[Source], ledger: Ledger | None, overwrite: bool = False) -> None:
    """Refuse to replace files that no run of noisewise has written.

    Args:
        sources: the sources to denoise.
        ledger: record of the output folder; None for single files, of which no record is kept.
        overwrite: whether any file may be replaced.

    Raises:
        OutputExistsError: if there are any; the message names the first few.
    """
    if overwrite:
        return
    there: list[Path] = []
    for source in sources:
        if ledger is None:
            own = source.data_outputs if is_torn_result(source) else ()
            there += [path for path in source.all_outputs if os.path.lexists(path) and path not in own]
        else:
            there += ledger.foreign(source)
    if there:
        verb = "exists already" if len(there) == 1 else "exist already"
        raise OutputExistsError(f"{first_names(there, SHOWN)}: {verb}; pass --overwrite to replace.")


def run_sources(
    sources: Iterable[Source],
    settings: DenoisingSettings,
    ledger: Ledger | None = None,
    workers: int = 1,
    observer: Observer | None = None,
) -> list[Outcome]:
    """Denoise sources one after the other.

    At most ``1 + 2 * workers`` of them are in memory: the one being denoised, and those being read and written.

    Args:
        sources: the sources to denoise.
        settings: how to denoise.
        ledger: record of the output folder; sources that are complete there are skipped. None keeps no record.
        workers: number of threads that read, and of threads that write.
        observer: follows the run.

    Returns:
        The outcome of each source, in the order of completion.

    Raises:
        EngineError: if the engine cannot denoise any image.
        KeyboardInterrupt: after the files being written are complete.
    """
    settings.check_device()
    run = _Run(sources, settings, ledger, observer or Observer(), workers=workers)
    with ThreadPoolExecutor(workers, "read") as readers, ThreadPoolExecutor(workers, "write") as writers:
        try:
            run.go(readers, writers)
        finally:
            run.stop()
    run.leave_rest()
    return run.outcomes


def denoise_found(
    found: Found,
    settings: DenoisingSettings,
    overwrite: bool = False,
    observer: Observer | None = None,
    run: Callable[..., list[Outcome]] = run_sources,
) -> list[Outcome]:
    """Denoise the sources that were found. For a folder, a record in the output folder lets a stopped run resume.

    Args:
        found: the sources.
        settings: how to denoise.
        overwrite: whether existing files and results of other settings may be replaced.
        observer: follows the run.
        run: denoises the sources: :func:`run_sources`, or its counterpart for a cluster.

    Returns:
        The outcome of each source.

    Raises:
        OutputExistsError: if a file would be replaced.
        LedgerError: if the output folder holds results of other settings, or another run is writing there.
        ValueError: if the model cannot be loaded.
    """
    recorded = {**recorded_settings(settings), "input": os.path.abspath(found.root)}
    with ExitStack() as stack:
        ledger = None
        if found.is_tree:
            ledger = stack.enter_context(Ledger(found.root, found.output_root, recorded, overwrite))
        check_outputs(found.sources, ledger, overwrite)
        stack.enter_context(quiet_libraries())
        return run(found.sources, settings, ledger=ledger, observer=observer)


def recorded_settings(settings: DenoisingSettings) -> dict[str, Any]:
    """The settings that results depend on, as the ledger keeps them: a run does not resume results of other settings.

    Tiles and engines change results by less than 1e-4 of the range and are left out.

    Args:
        settings: of the run.

    Returns:
        Values that JSON can hold, with the SHA-256 of the weights by model.

    Raises:
        ValueError: if a model cannot be loaded.
        FileNotFoundError: if there is no such model.
    """
    models = [get_denoiser(settings, modality).model for modality in (None, "ct")]
    return {
        "weights": {model.name: model.digest for model in models},
        "strength": settings.strength,
        "precision": settings.precision,
        "modality": settings.modality,
        "intensity_range": None if settings.intensity_range is None else list(settings.intensity_range),
        "slice_axis": settings.slice_axis,
    }


class RunState:
    """The sources that a run still has to denoise, and the outcomes of the others.

    Args:
        sources: the sources; those that are complete by the ledger are skipped.
        settings: how to denoise.
        ledger: record of the output folder, or None.
        observer: follows the run.
    """

    def __init__(
        self, sources: Iterable[Source], settings: DenoisingSettings, ledger: Ledger | None, observer: Observer
    ) -> None:
        self.settings, self.ledger, self.observer = settings, ledger, observer
        self.waiting: deque[Source] = deque()
        self.outcomes: list[Outcome] = []
        self.disk_is_full = False
        for source in sources:
            record = None if ledger is None else ledger.finished(source)
            if record is None:
                self.waiting.append(source)
            else:
                self.report(Outcome(source, "skipped", record=record))

    def report(self, outcome: Outcome) -> None:
        """Keep the outcome of a source, and tell the observer."""
        self.outcomes.append(outcome)
        self.observer.finished(outcome)

    def leave_rest(self) -> None:
        """Report the sources that still wait, after the disk was full."""
        while self.waiting:
            self.report(Outcome(self.waiting.popleft(), "left"))


class _Run(RunState):
    """The queues within one process."""

    def __init__(self, *state: Any, workers: int) -> None:
        self.workers = workers
        self.reading: deque[tuple[Source, Future[LoadedSource]]] = deque()
        self.writing: dict[Future[JobRecord], Source] = {}
        super().__init__(*state)

    def go(self, readers: Executor, writers: Executor) -> None:
        self.read_ahead(readers)
        while self.reading and not self.disk_is_full:
            self.denoise_next(readers, writers)

    def read_ahead(self, readers: Executor) -> None:
        while self.waiting and len(self.reading) < self.workers:
            source = self.waiting.popleft()
            self.reading.append((source, readers.submit(read_source, source, self.settings)))

    def denoise_next(self, readers: Executor, writers: Executor) -> None:
        # Only local names refer to the images here, so that the call frees all but those being written.
        source, future = self.reading[0]
        unreadable = future.exception()
        self.reading.popleft()
        self.read_ahead(readers)
        if unreadable is not None:
            self.report(Outcome(source, "failed", failures_of(unreadable, source)))
            return
        loaded = future.result()
        del future
        try:
            stack = loaded.stack
            self.observer.started(source, len(stack.slices), _describe_model(self.settings, stack))
            if loaded.guess is not None:
                self.observer.guessed(source, loaded.guess)
            denoised = denoise_source(loaded, self.settings, self.observer.advanced)
        except EngineError:
            raise
        except Exception as error:
            self.report(Outcome(source, "failed", failures_of(error, source)))
            return
        while len(self.writing) >= self.workers:
            self.collect()
        self.writing[writers.submit(self.write, denoised)] = source

    def stop(self) -> None:
        """Finish the files being written, and start no others."""
        self.waiting.extendleft(source for source, _ in reversed(self.reading))
        self.collect(all_writes=True)

    def write(self, denoised: DenoisedSource) -> JobRecord:
        source = denoised.loaded.source
        if self.ledger is None:
            remove_leftovers(source.all_outputs, keep_living=True)
            clear_torn_result(source)
            return write_source(denoised, self.settings)
        self.ledger.begin(source)
        record = write_source(denoised, self.settings)
        self.ledger.finish(source, record.inputs, record.summary())
        return record

    def collect(self, all_writes: bool = False) -> None:
        """Wait for one write, or for all."""
        if not self.writing:
            return
        done, _ = wait(self.writing, return_when=ALL_COMPLETED if all_writes else FIRST_COMPLETED)
        for future in done:
            source, error = self.writing.pop(future), future.exception()
            if error is None:
                record = future.result()
                self.report(Outcome(source, "done", record.lost, record.summary(), record.notes))
            else:
                self.disk_is_full |= fills_disk(error)
                self.report(Outcome(source, "failed", failures_of(error, source)))


def _describe_model(settings: DenoisingSettings, stack: ImageStack) -> str:
    return get_denoiser(settings, stack.modality).describe(stack.eight_bit)


def failures_of(error: BaseException, source: Source) -> list[tuple[str, str]]:
    """File and cause of each failure, one line each. Every file of a series is named.

    Args:
        error: the error that stopped a source.
        source: the source.
    """
    failures = _causes(error, source)
    if len(source.paths) > 1:
        named = {path for path, _ in failures}
        failures += [(str(path), NO_SERIES) for path in source.paths if str(path) not in named]
    return failures


def _causes(error: BaseException, source: Source) -> list[tuple[str, str]]:
    if isinstance(error, ExceptionGroup):
        return [failure for each in error.exceptions for failure in _causes(each, source)]
    if isinstance(error, FormatError):
        return [(error.path, _one_line(error.cause))]
    if isinstance(error, MemoryError):
        return [(source.name, "does not fit the memory of this computer.")]
    if isinstance(error, OSError) and error.strerror:
        name = error.filename or source.name
        return [(str(name), _one_line(error.strerror))]
    text = _one_line(str(error))
    return [(source.name, text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}")]


def fills_disk(error: BaseException | None) -> bool:
    """Whether an error, or its cause, is a full disk or an exceeded quota.

    Args:
        error: the error that stopped a source.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
