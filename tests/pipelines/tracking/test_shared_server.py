# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``mlflow server`` as docs/mlflow.md starts it, in a separate process, and read over HTTP as by any client."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
import torch

from noisewise.pipelines.tracking import fetch_weights, register_weights

SECONDS = 240


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def server(empty_database, tmp_path_factory):
    """The address of a server with its own database and folder of artifacts."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, address, folder / "log")
        yield address, folder
    finally:
        # The server starts its own workers.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def _wait(process, address, log):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{address}/health", timeout=10).ok:
                return
        time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def test_a_training_and_its_registered_weights_are_read_over_http(server, training, tmp_path, monkeypatch):
    address, folder = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    weights = tmp_path / "output" / "model.pt"
    weights.parent.mkdir()
    torch.save({"weight": torch.ones(2)}, weights)
    trainer, tracker = training(tmp_path / "unused.db", epochs=1, run_name="shared", params={"protocol": "physical"})
    trainer.run()
    run_id = (tmp_path / "output" / "mlflow_run_id.txt").read_text().strip()
    number = register_weights(weights, "shared_model", run_id, aliases=["champion"])

    def get(path, **query):
        answer = requests.get(f"{address}/api/2.0/{path}", params=query, timeout=30)
        answer.raise_for_status()
        return answer

    run = get("mlflow/runs/get", run_id=run_id).json()["run"]
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert run["info"]["status"] == "FINISHED" and run["info"]["run_name"] == "shared"
    assert {"key": "protocol", "value": "physical"} in run["data"]["params"]
    assert metrics["val/psnr"] == pytest.approx(tracker.evaluator.state.metrics["psnr"], rel=1e-6)
    history = get("mlflow/metrics/get-history", run_id=run_id, metric_key="train/rn_loss").json()["metrics"]
    assert [metric["step"] for metric in history] == [1, 2]

    # Artifacts come through the server, which keeps them in its own folder.
    root = f"{run['info']['experiment_id']}/{run_id}/artifacts"
    assert run["info"]["artifact_uri"] == f"mlflow-artifacts:/{root}"
    assert get(f"mlflow-artifacts/artifacts/{root}/weights/model.pt").content == weights.read_bytes()
    assert get(f"mlflow-artifacts/artifacts/{root}/results/last_validation.png").content.startswith(b"\x89PNG")
    assert (folder / "artifacts" / root / "weights" / "model.pt").is_file()

    version = get("mlflow/registered-models/alias", name="shared_model", alias="champion").json()["model_version"]
    assert version["version"] == str(number) == "1" and version["run_id"] == run_id
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert tags["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    fetched = fetch_weights("shared_model", "champion", tmp_path / "fetched.pt")
    assert fetched.read_bytes() == weights.read_bytes()
    assert not list(tmp_path.rglob("*.db")) and not list(tmp_path.rglob("mlruns"))


def test_other_machines_names_are_refused(server):
    address, _folder = server
    answer = requests.get(f"{address}/api/2.0/mlflow/experiments/search", headers={"Host": "example.org"}, timeout=30)
    assert answer.status_code == 403
