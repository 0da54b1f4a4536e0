# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising many sources: the next is read and the last one written meanwhile; no failure stops the rest."""

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

from ..engines.base import EngineError
from ..formats.quiet import quiet_libraries
from ..formats.stack import FormatError
from .jobs import DenoisedSource, JobRecord, LoadedSource, denoise_source, read_source, write_source
from .ledger import Ledger, remove_leftovers
from .settings import DenoisingOptions
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
    "run_sources",
]

SHOWN = 3
FULL = (errno.ENOSPC, errno.EDQUOT)


class OutputExistsError(ValueError):
    """Results would replace files that are not known to be results; the message names the first few."""


@dataclass
class Outcome:
    """What became of one source.

    Attributes:
        source: what there was to denoise.
        state: ``"done"``, ``"skipped"`` (done by an earlier run), ``"failed"``, or ``"left"`` (a full disk came first).
        failures: file and cause; for ``"done"`` those files of a series that could not be read.
        record: what is known of the result, see :meth:`~noisewise.pipelines.denoising.jobs.JobRecord.summary`.
    """

    source: Source
    state: str
    failures: list[tuple[str, str]] = field(default_factory=list)
    record: dict[str, Any] | None = None


class Observer:
    """Follows a run; all methods do nothing here, and are called in one thread at a time."""

    def started(self, source: Source, slices: int, model: str) -> None:
        """A source of so many slices is being denoised with a model, which is described in a few words."""

    def advanced(self, slices: float) -> None:
        """So many more of its slices are denoised."""

    def finished(self, outcome: Outcome) -> None:
        """A source is done, skipped or failed."""


def check_outputs(sources: Iterable[Source], ledger: Ledger | None, overwrite: bool = False) -> None:
    """Refuse to replace files that no run of ours has written.

    Args:
        sources: what there is to denoise.
        ledger: of the output folder; None for single files, of which no record is kept.
        overwrite: whether any file may be replaced.

    Raises:
        OutputExistsError: naming the first few.
    """
    if overwrite:
        return
    there: list[Path] = []
    for source in sources:
        if ledger is None:
            there += [path for path in source.all_outputs if os.path.lexists(path)]
        else:
            there += ledger.foreign(source)
    if there:
        more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
        verb = "exists already" if len(there) == 1 else "exist already"
        raise OutputExistsError(f"{', '.join(map(str, there[:SHOWN]))}{more}: {verb}; pass --overwrite to replace.")


def run_sources(
    sources: Iterable[Source],
    options: DenoisingOptions,
    ledger: Ledger | None = None,
    workers: int = 1,
    observer: Observer | None = None,
) -> list[Outcome]:
    """Denoise sources one after the other.

    At most ``1 + 2 * workers`` of them are in memory: one that is denoised, and those being read and written.

    Args:
        sources: what there is to denoise.
        options: how.
        ledger: the record of the output folder; sources that are complete there are skipped. None keeps no record.
        workers: threads that read, and as many that write.
        observer: is told what happens.

    Returns:
        What became of each source, in the order of completion.

    Raises:
        EngineError: when no image can be denoised.
        KeyboardInterrupt: once what was being written is whole.
    """
    options.check_device()
    run = _Run(sources, options, ledger, observer or Observer(), workers=workers)
    with ThreadPoolExecutor(workers, "read") as readers, ThreadPoolExecutor(workers, "write") as writers:
        try:
            run.go(readers, writers)
        finally:
            run.stop()
    run.leave_rest()
    return run.outcomes


def denoise_found(
    found: Found,
    options: DenoisingOptions,
    overwrite: bool = False,
    observer: Observer | None = None,
    run: Callable[..., list[Outcome]] = run_sources,
) -> list[Outcome]:
    """Denoise what was found. For a folder a record is kept in the output folder, by which a stopped run goes on.

    Args:
        found: what there is to denoise.
        options: how.
        overwrite: whether files that exist, and results of other settings, may be replaced.
        observer: is told what happens.
        run: what denoises the sources: :func:`run_sources`, or the same on a cluster.

    Returns:
        What became of each source.

    Raises:
        OutputExistsError: when a file would be replaced.
        LedgerError: when the output folder holds results of other settings, or another run is writing there.
        ValueError: when the model cannot be loaded.
    """
    settings = {**options.settings(), "input": os.path.abspath(found.root)}
    with ExitStack() as stack:
        ledger = None
        if found.is_tree:
            ledger = stack.enter_context(Ledger(found.root, found.output_root, settings, overwrite))
        check_outputs(found.sources, ledger, overwrite)
        stack.enter_context(quiet_libraries())
        return run(found.sources, options, ledger=ledger, observer=observer)


class RunState:
    """What is left to do in a run, and what became of the rest.

    Args:
        sources: what there is to denoise; what the ledger knows to be complete is skipped.
        options: how.
        ledger: the record of the output folder, or None.
        observer: is told what happens.
    """

    def __init__(
        self, sources: Iterable[Source], options: DenoisingOptions, ledger: Ledger | None, observer: Observer
    ) -> None:
        self.options, self.ledger, self.observer = options, ledger, observer
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
        """Keep and tell what became of a source."""
        self.outcomes.append(outcome)
        self.observer.finished(outcome)

    def leave_rest(self) -> None:
        """Report what still waits, after a full disk."""
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
            self.reading.append((source, readers.submit(read_source, source, self.options)))

    def denoise_next(self, readers: Executor, writers: Executor) -> None:
        # All that holds the images is local here, so that they are gone with this call but for the writer's.
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
            self.observer.started(source, len(stack.slices), self.options.describe(stack.modality, stack.eight_bit))
            denoised = denoise_source(loaded, self.options, self.observer.advanced)
        except EngineError:
            raise
        except Exception as error:
            self.report(Outcome(source, "failed", failures_of(error, source)))
            return
        while len(self.writing) >= self.workers:
            self.collect()
        self.writing[writers.submit(self.write, denoised)] = source

    def stop(self) -> None:
        """Let what is being written become whole, and begin nothing."""
        self.waiting.extendleft(source for source, _ in reversed(self.reading))
        self.collect(all_writes=True)

    def write(self, denoised: DenoisedSource) -> JobRecord:
        source = denoised.loaded.source
        if self.ledger is None:
            remove_leftovers(source.all_outputs)
            return write_source(denoised, self.options)
        self.ledger.begin(source)
        record = write_source(denoised, self.options)
        self.ledger.finish(source, record.inputs, record.summary())
        return record

    def collect(self, all_writes: bool = False) -> None:
        """Wait for a write, or for all."""
        if not self.writing:
            return
        done, _ = wait(self.writing, return_when=ALL_COMPLETED if all_writes else FIRST_COMPLETED)
        for future in done:
            source, error = self.writing.pop(future), future.exception()
            if error is None:
                record = future.result()
                self.report(Outcome(source, "done", record.lost, record.summary()))
            else:
                self.disk_is_full |= fills_disk(error)
                self.report(Outcome(source, "failed", failures_of(error, source)))


def failures_of(error: BaseException, source: Source) -> list[tuple[str, str]]:
    """File and cause, one line each.

    Args:
        error: what stopped a source.
        source: which.
    """
    if isinstance(error, ExceptionGroup):
        return [failure for each in error.exceptions for failure in failures_of(each, source)]
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
    """Whether an error, or what caused it, is a full disk or an exceeded quota.

    Args:
        error: what stopped a source.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
