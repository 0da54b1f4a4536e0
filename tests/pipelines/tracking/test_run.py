# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import json
import time
from pathlib import Path

import pytest

from noisewise.pipelines.tracking import TrackedRun, store_uri


@pytest.fixture
def run(store):
    run = TrackedRun(store, experiment_name="e", run_name="r")
    yield run
    if run.cur_run is not None:
        run.finish()


# MLFLOW_TRACKING_URI, argument, store; {} is the working directory
URIS = [
    (None, None, "sqlite:///{}/mlruns.db"),
    (None, "runs/a b.db", "sqlite:///{}/runs/a b.db"),
    (None, "100%.db", "sqlite:///{}/100%25.db"),
    (None, "sqlite:///x.db", "sqlite:///x.db"),
    (None, "http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ("http://127.0.0.1:5000", "x.db", "http://127.0.0.1:5000"),
    ("sqlite:////x.db", None, "sqlite:////x.db"),
]


@pytest.mark.parametrize("variable, argument, expected", URIS)
def test_which_store_is_used(variable, argument, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert store_uri(argument) == expected.format(tmp_path)


def test_artifacts_lie_beside_the_database(run, store, client, tmp_path):
    (tmp_path / "x.png").write_bytes(b"1")
    run.log_file(tmp_path / "x.png", "results")
    assert [path.name for path in (Path(store).parent / "mlruns").rglob("*.png")] == ["x.png"]
    assert [path.name for path in Path(store).parent.parent.iterdir() if path.is_dir()] == ["a store"]


def test_more_parameters_than_one_call_takes(run, client):
    run.log_parameters({f"p{i}": i for i in range(250)})
    assert len(client.get_run(run.run_id).data.params) == 250


def test_more_metrics_than_one_call_takes(run, client):
    run.log_metrics({f"m{i}": i for i in range(1100)}, 1)
    assert len(client.get_run(run.run_id).data.metrics) == 1100


def test_names_that_mlflow_refuses_are_changed(run, client):
    run.log_metrics({"ΔE (mean)": 1.0, "psnr@25": 2.0, "nan": float("nan")}, 1)
    run.log_parameters({"a(b)": 1})
    data = client.get_run(run.run_id).data
    assert data.metrics["psnr_25"] == 2.0 and len(data.metrics) == 3
    assert data.params == {"a_b_": "1"}


def test_a_slow_failure_is_not_tried_again_for_a_while(run):
    def slow():
        time.sleep(0.1)
        raise TimeoutError

    calls = []
    assert not run.attempt("waiting", slow)
    assert not run.attempt("calling", calls.append, 1)
    assert calls == []
    run._rest_until = time.monotonic()
    assert run.attempt("calling", calls.append, 1) and calls == [1]


# name, content, whether it is stored
TABLES = [
    ("scores.csv", "image_id,modality,psnr\nab12,mri,31.5\n", True),
    ("manifest.csv", "path,split\nx,train\n", False),
    ("scores.csv", "image,psnr\nx/y/z,31.5\n", False),
    ("scores.csv", "image,psnr\nSMITH.dcm,31.5\n", False),
    ("summary.md", "| PSNR/dB | SSIM |\n|--:|--:|\n| 31.5 | 0.9 |\n\n![](neighbor.png)\n", True),
    ("summary.md", "| SMITH.png | 31.5 |\n", False),
    ("binary.csv", b"\xff\xfe\x00", False),
    ("empty.csv", "", True),
]


@pytest.mark.parametrize("name, content, stored", TABLES)
def test_tables_that_name_files_are_not_stored(run, client, tmp_path, caplog, name, content, stored):
    (tmp_path / "neighbor.png").touch()
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    run.log_file(path, "results")
    assert bool(client.list_artifacts(run.run_id)) is stored
    assert (name in caplog.text) is not stored


def test_a_table_is_stored_without_the_names_of_collections_and_subjects(run, client, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text('image_id,Source,psnr,subject\nab12,"SMITH, JOHN",31.5,smith\n')
    run.log_file(path, "results")
    stored = Path(client.download_artifacts(run.run_id, "results/scores.csv", str(tmp_path)))
    assert stored.read_text() == "image_id,psnr\nab12,31.5\n"


def test_a_table_is_registered_once_and_replaced(run, client, tmp_path):
    for value in (1, 2):
        run.log_table([{"metric": "psnr", "last": value}], "t.json")
    stored = json.loads(Path(client.download_artifacts(run.run_id, "t.json", str(tmp_path))).read_text())
    assert stored == {"columns": ["metric", "last"], "data": [["psnr", 2]]}
    assert json.loads(client.get_run(run.run_id).data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "t.json", "type": "table"}
    ]


def test_a_deleted_run_is_not_continued(run, store, client):
    run_id = run.run_id
    run.finish()
    client.delete_run(run_id)
    other = TrackedRun(store, experiment_name="e", continue_run=run_id)
    assert not other.continued and other.run_id != run_id
    other.finish()


def test_a_deleted_experiment_is_named(run, store, client):
    client.delete_experiment(run.experiment.experiment_id)
    with pytest.raises(RuntimeError, match=r"sqlite.*deleted experiment 'e'"):
        TrackedRun(store, experiment_name="e")


def test_file_stores_are_refused(tmp_path):
    with pytest.raises(RuntimeError, match="file:///x"):
        TrackedRun("file:///x")
