# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Tracking to an MLflow server, here one in this process."""

import logging
import threading

import pytest
from urllib3.connection import HTTPConnection

from noisewise.pipelines.tracking import TrackedRun


@pytest.fixture
def serve(store, tmp_path, monkeypatch):
    """Starts an MLflow server on a port of the loopback interface (0: any); returns the function that stops it."""
    server = pytest.importorskip("mlflow.server")
    serving = pytest.importorskip("werkzeug.serving")
    monkeypatch.setenv(server.BACKEND_STORE_URI_ENV_VAR, f"sqlite:///{store}")
    monkeypatch.setenv(server.ARTIFACT_ROOT_ENV_VAR, "mlflow-artifacts:/")
    monkeypatch.setenv(server.ARTIFACTS_DESTINATION_ENV_VAR, str(tmp_path / "artifacts"))
    monkeypatch.setenv(server.SERVE_ARTIFACTS_ENV_VAR, "true")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = []

    def start(port=0):
        instance = serving.make_server("127.0.0.1", port, server.app, threaded=True)
        thread = threading.Thread(target=instance.serve_forever, daemon=True)
        thread.start()

        def stop():
            instance.shutdown()
            instance.server_close()
            thread.join(10)
            running.remove(stop)

        running.append(stop)
        return instance.port, stop

    yield start
    for stop in list(running):
        stop()


def test_a_server_that_goes_and_comes_back(serve, client, tmp_path, monkeypatch, caplog):
    port, stop = serve()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    run = TrackedRun("unused.db", run_name="remote")
    run.log_parameters({"lr": 1e-4})
    run.log_metrics({"val/psnr": 30.0}, 1)
    (tmp_path / "model.pt").write_bytes(b"weights")
    run.log_file(tmp_path / "model.pt", "weights")

    stop()
    connect, tried = HTTPConnection.connect, []
    monkeypatch.setattr(HTTPConnection, "connect", lambda self: [tried.append(self.port), connect(self)])
    for step in (2, 3):
        run.log_metrics({"val/psnr": 30.0 + step}, step)
    monkeypatch.setattr(HTTPConnection, "connect", connect)
    # Once, and once more: MLflow itself would try for minutes.
    assert 1 <= tried.count(port) <= 2
    assert caplog.text.count("logging metrics failed") == 1

    serve(port)
    run.finish()
    stored = client.get_run(run_id := client.search_runs([run.experiment.experiment_id])[0].info.run_id)
    assert stored.info.status == "FINISHED" and stored.data.params == {"lr": "0.0001"}
    assert [m.step for m in client.get_metric_history(run_id, "val/psnr")] == [1, 2, 3]
    assert [path.read_bytes() for path in (tmp_path / "artifacts").rglob("model.pt")] == [b"weights"]
