# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A small demo store: tiny networks, two steps."""

import hashlib
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest
from typer.testing import CliRunner

from noisewise.bundles import bundle_path
from noisewise.pipelines.cli import mlflow_demo as mlflow_demo_cli
from noisewise.pipelines.cli.app import app
from noisewise.pipelines.tracking import demo
from noisewise.pipelines.tracking.demo import DEMO_RUNS, DemoRun, build_demo, demo_is_complete, server_command

TINY = """
network_def:
  _target_: noisewise.networks.TwoStageDenoiser
  features: 4
  growth: 2
  num_blocks: 1
"""
TRAINING = {
    "batch_size": 2, "patch_size": 32, "steps_per_epoch": 4, "max_epochs": 1, "train_limit": 1, "num_workers": 0,
    "val_limit": 1, "val_size": 48, "val_stds": [50], "panels": 1, "no_such_key_in_this_bundle": 1,
}  # fmt: skip
EVALUATION = {"modalities": ["ct"], "limit": 1, "crop": 48, "stds": [50], "patterns": ["gaussian"], "progress": False}
PAGE = "#/experiments/1/runs?viewStateShareKey=noisewise&compareRunsMode=CHART&workflowType=machine_learning"
MODEL = "multimodal_denoising"


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def test_trainings_evaluations_and_registered_versions(tiny, store, client, tmp_path, monkeypatch):
    pytest.importorskip("data_store", reason="the embedded images need pydicom-data")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(demo, "STORE", str(store))  # an existing database: making one takes seconds
    output, lines = tmp_path / "demo", []
    runs = [
        DemoRun("tiny physical", (tiny,), {"protocol": "physical"}),
        DemoRun("tiny author_code", (tiny,), {"protocol": "author_code"}),
    ]
    low_dose = DemoRun("tiny CT", (tiny,), {"initial_weights": None, "warmup_steps": 1}, "low_dose_ct_denoising")
    uri = build_demo(output, [*runs, low_dose], TRAINING, EVALUATION, lines.append)
    assert uri == f"sqlite:///{store}" and demo_is_complete(output)
    assert [line.split(":")[0] for line in lines] == ["[1/3] tiny physical", "[2/3] tiny author_code", "[3/3] tiny CT"]

    experiment = client.get_experiment_by_name("noisewise demo")
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert len(found) == 6 and {run.info.status for run in found.values()} == {"FINISHED"}
    versions = {}
    for run in runs:
        training = found[f"train {run.name} seed 0"]
        run_id = training.info.run_id
        assert training.data.params["protocol"] == run.settings["protocol"]
        assert [m.step for m in client.get_metric_history(run_id, "train/rn_loss")] == [2, 4]
        assert training.data.metrics["val/psnr"] > 0
        assert {a.path for a in client.list_artifacts(run_id, "config")} == {"config/train.yaml", "config/tiny.yaml"}
        assert [a.path for a in client.list_artifacts(run_id, "images") if "panel_0" in a.path]
        (version,) = client.search_model_versions(f"run_id = '{run_id}'")
        weights = output / run.name.replace(" ", "_") / "model.pt"
        assert version.name == MODEL and version.description == run.name
        assert version.tags["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        evaluation = found[f"evaluate {run.name}"].data
        assert evaluation.tags["mlflow.parentRunId"] == run_id
        psnr = evaluation.metrics["test/denoised/gaussian_50/psnr"]
        assert float(version.tags["test.psnr"]) == pytest.approx(psnr, abs=0.006)
        versions[int(version.version)] = psnr
    scored = found["evaluate tiny CT"].data.metrics
    psnr = fmean(scored[f"test/denoised/{kernel}/psnr_db"] for kernel in ("sharp", "soft"))
    assert float(client.get_model_version("low_dose_ct_denoising", "1").tags["test.psnr"]) == pytest.approx(
        psnr, abs=0.006
    )
    best, second = sorted(versions, key=versions.get, reverse=True)
    for alias, expected in (("champion", best), ("challenger", second)):
        assert int(client.get_model_version_by_alias(MODEL, alias).version) == expected

    with pytest.raises(FileExistsError, match="demo is not empty"):
        build_demo(output, runs)


def test_configs_of_the_runs_exist():
    assert len({run.name for run in DEMO_RUNS}) == len(DEMO_RUNS) >= 5
    for run in DEMO_RUNS:
        assert all(path.is_file() for path in run.config_files)
        assert (bundle_path(run.bundle) / "configs" / "metadata.json").is_file()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command; nothing is trained, and the server's command is kept instead of run."""
    started = []

    def build(output, report):
        output.mkdir()
        (output / demo.COMPLETE).touch()
        report("built")

    def start(line, env):
        started.append((line, env))
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(demo, "build_demo", build)
    monkeypatch.setattr(mlflow_demo_cli.subprocess, "run", start)
    return lambda *arguments: (CliRunner().invoke(app, ["mlflow-demo", *arguments]), started)


def test_the_command_builds_once_and_serves(command, tmp_path):
    output = tmp_path / "a demo"
    for expected in (1, 0):
        result, started = command("--output", str(output), "--port", "5050")
        assert result.exit_code == 0 and result.output.count("built") == expected
        assert f"http://127.0.0.1:5050/{PAGE}" in result.output
    line, environment = started[-1]
    assert line == server_command(f"sqlite:///{output / 'mlflow.db'}", 5050) and len(started) == 2
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    _, started = command("--output", str(output), "--no-serve")
    assert len(started) == 2


def test_runs_on_a_server_are_not_served_here(command, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@mlflow.example.org")
    result, started = command("--output", str(tmp_path / "demo"))
    assert result.exit_code == 0 and "MLFLOW_TRACKING_URI" in result.output
    assert started == [] and "secret" not in result.output


def test_a_folder_that_is_not_empty_is_one_error_line(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = CliRunner().invoke(app, ["mlflow-demo", "--output", str(tmp_path)])
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert str(tmp_path) in result.stderr
    assert [path.name for path in Path(tmp_path).iterdir()] == ["notes.txt"]
