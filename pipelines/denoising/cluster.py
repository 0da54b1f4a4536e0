# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising on many computers: the job of one process, on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..engines.base import EngineError
from ..formats.quiet import quiet_libraries
from .jobs import JobRecord, run_job
from .ledger import Ledger, clear_torn_result, remove_leftovers
from .run import Observer, Outcome, RunState, denoise_found, failures_of, fills_disk
from .settings import DenoisingSettings
from .sources import Source, find_sources

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["denoise_many", "run_on_cluster"]

LOOPBACK = "127.0.0.1"
# Jobs that wait for each thread of a worker: enough to keep it busy, few enough to drop when the run stops.
AHEAD = 2


def denoise_many(
    input_path: str | os.PathLike,
    output_path: str | os.PathLike,
    settings: DenoisingSettings | None = None,
    address: str | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> list[Outcome]:
    """Denoise a folder on a Dask cluster; a stopped run resumes where it was.

    Only the client writes the record of the output folder. If a worker dies, another one runs its job.

    Args:
        input_path: a file or a folder. All workers must see it under the same path.
        output_path: file or folder of the results, likewise.
        settings: how to denoise; each worker loads the model once.
        address: address of the scheduler, such as ``"tcp://10.0.0.1:8786"``; None starts workers on this computer,
            which accept connections from this computer only.
        overwrite: whether existing files and results of other settings may be replaced.
        observer: follows the run.

    Returns:
        The outcome of each image, volume or series.

    Raises:
        ImportError: if Dask's ``distributed`` is not installed.
        OSError: if there is no scheduler at ``address``.
        ValueError: see :func:`~noisewise.pipelines.denoising.run.denoise_found`.
    """
    settings = settings or DenoisingSettings()
    found = find_sources(input_path, output_path, settings.noise_map, settings.audit)
    return denoise_found(found, settings, overwrite, observer, partial(run_on_cluster, address=address))


def run_on_cluster(
    sources: Iterable[Source],
    settings: DenoisingSettings,
    ledger: Ledger | None = None,
    observer: Observer | None = None,
    address: str | None = None,
) -> list[Outcome]:
    """Denoise sources on a Dask cluster, see :func:`denoise_many`.

    Args:
        sources: the sources to denoise.
        settings: how to denoise.
        ledger: the record of the output folder; None keeps no record.
        observer: follows the run.
        address: address of the scheduler; None starts workers on this computer.

    Returns:
        The outcome of each source, in the order of completion.

    Raises:
        ImportError: if Dask's ``distributed`` is not installed.
        OSError: if there is no scheduler at ``address``.
        EngineError: if the engine cannot denoise any image.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError("a cluster needs Dask: pip install 'noisewise[bulk]'.") from error
    run = _ClusterRun(sources, settings, ledger, observer or Observer())
    if not run.waiting:
        return run.outcomes
    with ExitStack() as stack:
        if address is None:
            cluster = LocalCluster(host=LOOPBACK, dashboard_address=None, threads_per_worker=1)
            address = stack.enter_context(cluster).scheduler_address
        run.go(stack.enter_context(Client(address)))
    run.leave_rest()
    return run.outcomes


@dataclass
class _Failed:
    """A worker sends this instead of an error, since few errors can be sent from one process to another."""

    failures: list[tuple[str, str]]
    fills_disk: bool
    stops_all: bool


def _job(source: Source, settings: DenoisingSettings) -> JobRecord | _Failed:
    try:
        with quiet_libraries():
            return run_job(source, settings)
    except Exception as error:
        return _Failed(failures_of(error, source), fills_disk(error), isinstance(error, EngineError))


class _ClusterRun(RunState):
    """The jobs that are on the cluster."""

    def go(self, client: Client) -> None:
        from distributed import as_completed

        running: dict[Future, Source] = {}
        submitted: list[Source] = []
        completed = as_completed()
        try:
            while (self.waiting or running) and not self.disk_is_full:
                threads = sum(client.nthreads().values())
                while self.waiting and len(running) < AHEAD * max(1, threads):
                    source = self.waiting.popleft()
                    submitted.append(source)
                    if self.ledger is None:
                        clear_torn_result(source)
                    else:
                        self.ledger.begin(source)
                    future = client.submit(_job, _absolute(source), self.settings, pure=False)
                    running[future] = source
                    completed.add(future)
                future = next(completed)
                self.take(running.pop(future), future)
                future.release()
        finally:
            client.cancel(list(running))
        self.waiting.extendleft(reversed(running.values()))
        if not running:
            # Left by workers that died; no worker is writing any more.
            remove_leftovers(path for source in submitted for path in source.all_outputs)

    def take(self, source: Source, future: Future) -> None:
        try:
            result = future.result()
        except Exception as error:
            # Not an error of the job itself: it was canceled, or every worker that took it died.
            self.report(Outcome(source, "failed", failures_of(error, source)))
            return
        if isinstance(result, _Failed):
            if result.stops_all:
                raise EngineError(result.failures[0][1])
            self.disk_is_full |= result.fills_disk
            self.report(Outcome(source, "failed", _as_given(source, result.failures)))
            return
        if self.ledger is not None:
            self.ledger.finish(result.source, result.inputs, result.summary())
        model = f"{result.model}, weights {result.model_digest[:12]}; on the cluster"
        self.observer.started(source, result.slices, model)
        self.report(Outcome(source, "done", _as_given(source, result.lost), result.summary(), result.notes))


def _absolute(source: Source) -> Source:
    """The source with absolute paths, since workers have other working folders."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path))

    return replace(
        source,
        paths=tuple(map(absolute, source.paths)),
        outputs=tuple(map(absolute, source.outputs)),
        noise_map=absolute(source.noise_map),
        picture=absolute(source.picture),
        data=tuple(map(absolute, source.data)),
        data_outputs=tuple(map(absolute, source.data_outputs)),
    )


def _as_given(source: Source, failures: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The failures with the file names that the user gave."""
    given = {os.path.abspath(path): str(path) for path in (*source.files, *source.all_outputs)}
    return [(given.get(path, path), cause) for path, cause in failures]
