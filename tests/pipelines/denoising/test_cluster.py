# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The same job on the workers of a local cluster, one of which dies."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from noisewise.pipelines.denoising import cluster as bulk
from noisewise.pipelines.denoising.cluster import denoise_many
from noisewise.pipelines.denoising.denoiser import get_denoiser
from noisewise.pipelines.denoising.jobs import run_job
from noisewise.pipelines.denoising.run import Observer, denoise_found
from noisewise.pipelines.denoising.settings import DenoisingSettings
from noisewise.pipelines.denoising.sources import find_sources

distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed.")
dask = pytest.importorskip("dask")

NAMES = [f"p{number % 3}/{number}.png" for number in range(8)]


def slow_job(*arguments):
    time.sleep(0.2)
    return run_job(*arguments)


@pytest.fixture(scope="module")
def cluster(halving_module):
    """Two worker processes, forked so that they have the halving engine and need not import everything again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "run_job", slow_job)
        get_denoiser(DenoisingSettings())
        with (
            dask.config.set({"distributed.worker.multiprocessing-method": "fork"}),
            distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        ):
            yield cluster


def check(folder, pixels):
    for name, before in pixels.items():
        after = np.asarray(Image.open(folder / name))
        np.testing.assert_array_equal(after, np.rint(before - before / 2), err_msg=name)


class Deadly(Observer):
    """Kills a worker after the first results."""

    def __init__(self, pid):
        self.pid, self.outcomes = pid, []

    def finished(self, outcome):
        self.outcomes.append(outcome)
        if len(self.outcomes) == 3:
            os.kill(self.pid, signal.SIGKILL)


def test_a_worker_that_dies_costs_nothing(cluster, tmp_path, pictures, monkeypatch):
    pixels = pictures(*NAMES)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    with distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
    assert len(set(pids)) == 2 and os.getpid() not in pids
    observer = Deadly(pids[0])
    monkeypatch.chdir(tmp_path)  # The workers have another working folder.
    outcomes = denoise_many("in", "out", address=cluster.scheduler_address, observer=observer)
    assert observer.outcomes == outcomes
    ((path, cause),) = next(outcome.failures for outcome in outcomes if outcome.state == "failed")
    assert path == os.path.join("in", "bad.png") and "not a PNG" in cause
    states = {outcome.source.paths[0].name: outcome.state for outcome in outcomes}
    assert states.pop("bad.png") == "failed"
    assert len(states) == len(NAMES) and set(states.values()) == {"done"}
    check(tmp_path / "out", pixels)
    # No run repeats the work of another, on a cluster or not.
    found = find_sources(tmp_path / "in", tmp_path / "out")
    assert [outcome.state for outcome in denoise_found(found, DenoisingSettings())] == ["skipped"] * 8 + ["failed"]


def test_a_stopped_client_resumes(cluster, tmp_path, pictures):
    pixels = pictures(*NAMES)

    class Interrupting(Observer):
        def finished(self, outcome):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise_many(tmp_path / "in", tmp_path / "out", address=cluster.scheduler_address, observer=Interrupting())
    states = [each.state for each in denoise_many(tmp_path / "in", tmp_path / "out", address=cluster.scheduler_address)]
    assert "skipped" in states and "done" in states and len(states) == len(NAMES)
    check(tmp_path / "out", pixels)


def test_no_scheduler(tmp_path, pictures, halving):
    pictures("a.png")
    with dask.config.set({"distributed.comm.timeouts.connect": "100ms"}), pytest.raises(OSError, match="Timed out"):
        denoise_many(tmp_path / "in", tmp_path / "out", address="tcp://127.0.0.1:9")
