# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from mlflow import MlflowClient
from PIL import Image
from urllib3.connection import HTTPConnection

from noisewise.pipelines.tracking import code_version
from noisewise.pipelines.tracking.view import experiment_page

PATIENT = "DOE-JANE-19600101"
EXPERIMENT = "noisewise"


def runs(client):
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return [] if experiment is None else client.search_runs(experiment.experiment_id)


def only_run(client):
    (run,) = runs(client)
    return run


def artifacts(client, run_id, folder=None):
    found = []
    for entry in client.list_artifacts(run_id, folder):
        found += artifacts(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return found


def steps(client, run_id, name):
    return [metric.step for metric in client.get_metric_history(run_id, name)]


def test_what_a_run_leaves(training, store, client, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("lr: 0.001\n")
    output = tmp_path / "output"
    output.mkdir()
    torch.save({"weight": torch.zeros(2)}, output / "model.pt")
    (output / "scores.csv").write_text("image_id,psnr\nab12,31.5\n")
    Image.new("RGB", (4, 4)).save(output / "grid.png")
    trainer, tracker = training(
        store,
        run_name="first",
        params={"optimizer": {"name": "Adam", "lr": 1e-3}, "protocol": "physical"},
        config_files=str(config),
        seed=7,
        manifest_digest="ab" * 32,
        manifest_counts={"train": 4, "val": 4},
    )
    trainer.run()

    run = only_run(client)
    assert run.info.status == "FINISHED" and run.info.run_name == "first"
    assert (output / "mlflow_run_id.txt").read_text().strip() == run.info.run_id
    assert run.data.params == {
        "optimizer.name": "Adam",
        "optimizer.lr": "0.001",
        "protocol": "physical",
        "seed": "7",
        "device": "cpu",
        "world_size": "1",
        "max_epochs": "2",
        "epoch_length": "2",
        "data.digest": "ab" * 8,
        "data.train": "4",
        "data.val": "4",
    }
    for name, value in code_version().items():
        assert value is None or run.data.tags[f"version.{name}"] == str(value)
    assert run.data.tags["data.digest"] == "ab" * 32
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == "ab" * 8 and data.dataset.profile == '{"train": 4, "val": 4}'

    # Losses of both stages at the trainer's iterations; validation metrics at the end of epochs, with "val_" only once.
    assert set(run.data.metrics) == {
        "train/nen_loss", "train/rn_loss", "train/lr", "val/psnr", "val/mse", "val/best_psnr",
    }  # fmt: skip
    assert steps(client, run.info.run_id, "train/nen_loss") == [1, 2, 3, 4]
    assert steps(client, run.info.run_id, "val/psnr") == [2, 4]
    assert run.data.metrics["val/psnr"] == pytest.approx(tracker.evaluator.state.metrics["psnr"], rel=1e-6)
    assert run.data.metrics["train/rn_loss"] == pytest.approx(float(trainer.state.output["loss"]), rel=1e-6)
    assert run.data.metrics["train/lr"] == 1e-3

    stored = artifacts(client, run.info.run_id)
    assert {
        "config/train.yaml", "weights/model.pt", "results/scores.csv", "results/grid.png", "results/final_metrics.csv",
        "results/final_metrics.md", "results/final_metrics.json", "results/last_validation.png",
    } <= set(stored)  # fmt: skip
    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert (folder / "config/train.yaml").read_text() == "lr: 0.001\n"
    assert (folder / "weights/model.pt").read_bytes() == (output / "model.pt").read_bytes()
    with (folder / "results/final_metrics.csv").open() as file:
        table = {row["metric"]: row for row in csv.DictReader(file)}
    history = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "val/psnr")}
    assert float(table["psnr"]["last"]) == pytest.approx(history[4], rel=1e-5)
    assert float(table["psnr"]["best"]) == pytest.approx(max(history.values()), rel=1e-5)
    assert set(table) == {"psnr", "mse"}

    # Two panels at every validation; the inputs and at the end the results at step 0, where MLflow's pages begin.
    panels = sorted(path.split("+timestamp")[0] for path in stored if path.endswith(".png") and "panel" in path)
    assert panels == [f"images/val~panel_{i}+step+{step}" for i in (0, 1) for step in (0, 0, 2, 4)]
    (last,) = folder.glob("images/val~panel_0+step+4+*.png")
    assert np.asarray(Image.open(last)).shape == (2 * (24 + 22), 3 * 154 - 4, 3)
    # The page shows the image with the later time, which is part of the name.
    inputs, shown = sorted(folder.glob("images/val~panel_0+step+0+*.png"))
    assert shown.read_bytes() == last.read_bytes() != inputs.read_bytes()


def test_the_experiment_has_a_view_without_empty_sections(training, store, client):
    training(store, epochs=1, panels=1)[0].run()
    key = "mlflow.sharedViewState.noisewise"
    experiment = client.get_experiment_by_name("noisewise")
    view = json.loads(experiment.tags[key])
    assert [section["name"] for section in view["compareRunSections"]] == ["panels", "train", "val"]
    assert [chart["imageKeys"] for chart in view["compareRunCharts"]] == [["val/panel_0"]]
    assert not any(chart["showRunParams"] for chart in view["compareRunCharts"])
    assert f"viewStateShareKey={key.rpartition('.')[2]}&" in experiment_page(experiment.experiment_id)
    # More panels extend it; what a user has made of it stays.
    training(store, epochs=1, panels=2)[0].run()
    view = json.loads(client.get_experiment_by_name("noisewise").tags[key])
    assert [chart["imageKeys"] for chart in view["compareRunCharts"]] == [["val/panel_0"], ["val/panel_1"]]
    client.set_experiment_tag(experiment.experiment_id, key, json.dumps({**view, "compareRunSections": []}))
    training(store, epochs=1, panels=2)[0].run()
    assert json.loads(client.get_experiment_by_name("noisewise").tags[key])["compareRunSections"] == []


def test_losses_are_means_over_the_interval(training, store, client):
    trainer, _ = training(store, loss_interval=3, evaluator=None)
    losses = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda e: losses.append(float(e.state.output["nen_loss"])))
    trainer.run()
    history = client.get_metric_history(only_run(client).info.run_id, "train/nen_loss")
    assert [m.step for m in history] == [3, 4]
    assert [m.value for m in history] == pytest.approx([np.mean(losses[:3]), losses[3]], rel=1e-5)


def test_panel_interval_and_the_last_validation(training, store, client):
    trainer, _ = training(store, epochs=4, panels=1, panel_interval=2)
    trainer.run()
    stored = artifacts(client, only_run(client).info.run_id)
    drawn = {int(path.split("+")[2]) for path in stored if "panel_0" in path}
    assert drawn == {0, 2, 6, 8}


def test_no_panels_when_none_are_wanted(training, store, client):
    trainer, _ = training(store, epochs=1, panels=0)
    trainer.run()
    assert not [path for path in artifacts(client, only_run(client).info.run_id) if path.endswith((".png", ".webp"))]


def test_nothing_that_names_a_patient_or_a_file_reaches_the_store(training, store, client, tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    (output / "manifest.csv").write_text(f"path,split\n{PATIENT},train\n")
    (output / "scores.csv").write_text(f"image,psnr\n/hospital/{PATIENT}/1.dcm,30\n")
    (output / "notes.md").write_text(f"| image |\n|--|\n| {PATIENT}/1.dcm |\n")
    trainer, _ = training(
        store,
        params={"dataset_dir": f"/hospital/{PATIENT}", "files": [f"{PATIENT}.nii.gz"], "out": tmp_path / PATIENT},
        manifest_digest="0" * 64,
    )

    def fail(engine):
        if engine.state.iteration == 3:
            raise RuntimeError(f"/hospital/{PATIENT}/1.dcm is broken")

    # One run completes, one ends with an error whose message names a file.
    trainer.run()
    trainer, _ = training(store)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, fail)
    with pytest.raises(RuntimeError, match="is broken"):
        trainer.run()

    files = [path for path in Path(store).parent.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert PATIENT.encode() not in content and b"hospital" not in content, path.name
        assert PATIENT not in path.name
        if path.suffix == ".png":
            assert not Image.open(path).text
    finished = [run for run in runs(client) if run.info.status == "FINISHED"]
    assert not [
        path for path in artifacts(client, finished[0].info.run_id) if path.endswith(("manifest.csv", "notes.md"))
    ]


@pytest.mark.parametrize(
    "error, status", [(RuntimeError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")], ids=["error", "Ctrl-C"]
)
def test_status_after_an_exception(training, store, client, error, status):
    trainer, _ = training(store)

    @trainer.on(Events.ITERATION_COMPLETED(once=2))
    def fail():
        raise error

    with pytest.raises(type(error)):
        trainer.run()
    run = only_run(client)
    assert run.info.status == status
    assert run.data.tags["exception"] == type(error).__name__


def test_an_exception_in_validation_fails_the_run(training, store, client):
    trainer, tracker = training(store)

    @tracker.evaluator.on(Events.ITERATION_STARTED)
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        trainer.run()
    assert only_run(client).info.status == "FAILED"


@pytest.mark.parametrize("skip_completed", [False, True])
def test_a_run_that_ends_early_is_finished(training, store, client, skip_completed):
    trainer, _ = training(store, epochs=5)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda e: e.terminate(skip_completed))
    trainer.run()
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert steps(client, run.info.run_id, "val/psnr") == [2, 4]
    assert "results/final_metrics.csv" in artifacts(client, run.info.run_id)


KILLED = """
    import os, shutil, signal, sys
    import torch
    from ignite.engine import Engine, Events
    from noisewise.pipelines.tracking import ExperimentTracker


    engine = Engine(lambda engine, batch: {"nen_loss": torch.tensor(1.0 / batch), "loss": torch.tensor(2.0 / batch)})
    engine.state.device = torch.device("cpu")
    ExperimentTracker(sys.argv[2], tracking_uri=sys.argv[1], loss_interval=1, params={"lr": 1}).attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=5), lambda: os.kill(os.getpid(), signal.SIGKILL))
    engine.run([1, 2, 3, 4], max_epochs=2)
"""


def test_a_killed_run_is_continued(training, store, client, tmp_path):
    output = tmp_path / "output"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(store), str(output)], check=False)
    assert done.returncode == -signal.SIGKILL
    killed = only_run(client)
    assert killed.info.status == "RUNNING"
    assert steps(client, killed.info.run_id, "train/rn_loss") == [1, 2, 3, 4, 5]

    # The new process repeats iteration 5, as if it started from a checkpoint of iteration 4.
    trainer, _ = training(store, epochs=3, resume=True, params={"lr": 2}, manifest_digest="0" * 64)
    trainer.add_event_handler(
        Events.STARTED, lambda e: setattr(e.state, "epoch", 2) or setattr(e.state, "iteration", 4)
    )
    trainer.run()
    run = only_run(client)
    assert run.info.run_id == killed.info.run_id and run.info.status == "FINISHED"
    assert steps(client, run.info.run_id, "train/rn_loss") == [1, 2, 3, 4, 5, 6]
    # MLflow's parameters cannot change.
    assert run.data.params["lr"] == "1" and run.data.tags["resumed.lr"] == "2"


def test_continuing_a_finished_run_changes_nothing_but_adds_no_doubles(training, store, client):
    for resume in (False, True):
        trainer, _ = training(store, resume=resume, manifest_digest="0" * 64)
        trainer.run()
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert steps(client, run.info.run_id, "val/psnr") == [2, 4]
    stored = artifacts(client, run.info.run_id)
    # The input at step 0, the validations at steps 2 and 4, and the last one at step 0 too.
    assert len([path for path in stored if "panel_0" in path and path.endswith(".png")]) == 4
    assert len(run.inputs.dataset_inputs) == 1


@pytest.mark.parametrize("content", [None, "0123456789abcdef0123456789abcdef"])
def test_resume_without_an_earlier_run_makes_one(training, store, client, tmp_path, content):
    if content:
        (tmp_path / "output").mkdir()
        (tmp_path / "output" / "mlflow_run_id.txt").write_text(content)
    trainer, _ = training(store, epochs=1, resume=True)
    trainer.run()
    assert (tmp_path / "output" / "mlflow_run_id.txt").read_text().strip() == only_run(client).info.run_id


def test_each_new_training_is_a_run_of_its_own(training, store, client):
    for _ in range(2):
        trainer, _ = training(store, epochs=1)
        trainer.run()
    assert len(runs(client)) == 2


def test_other_ranks_do_not_track(training, store, client, tmp_path, monkeypatch):
    trainer, _ = training(store, epochs=1)
    trainer.add_event_handler(Events.STARTED, lambda: monkeypatch.undo())
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda group=None: 1)
    trainer.run()
    assert runs(client) == [] and not (tmp_path / "output" / "mlflow_run_id.txt").exists()


def test_the_environment_variable_goes_first(training, store, client, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    trainer, _ = training(tmp_path / "other.db", epochs=1)
    trainer.run()
    assert only_run(client).info.status == "FINISHED"
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("kind", ["server", "folder", "text"])
def test_a_store_that_cannot_be_used_stops_the_training_at_its_start(training, tmp_path, monkeypatch, kind):
    text = tmp_path / "text.db"
    text.write_text("this is no database, but it is long enough to be taken for the header of one" * 10)
    uri, shown = {
        "server": ("http://user:secret@127.0.0.1:9", "http://user:***@127.0.0.1:9"),
        "folder": (f"sqlite:///{tmp_path}", f"sqlite:///{tmp_path}"),
        "text": (text, f"sqlite:///{text}"),
    }[kind]
    trainer, _ = training(uri)
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: pytest.fail("training has begun"))
    connect, tried = HTTPConnection.connect, []
    monkeypatch.setattr(HTTPConnection, "connect", lambda self: [tried.append(self.port), connect(self)])
    with pytest.raises(RuntimeError, match="MLFLOW_TRACKING_URI") as caught:
        trainer.run()
    assert shown in str(caught.value) and "secret" not in str(caught.value)
    # MLflow itself would try for minutes.
    assert tried.count(9) <= 2 and bool(tried.count(9)) == (kind == "server")


def test_a_store_that_fails_in_mid_run_does_not_stop_the_training(training, store, client, monkeypatch, caplog):
    monkeypatch.setattr("noisewise.pipelines.tracking.run._REST_FACTOR", 0.0)  # a busy machine fails slowly
    trainer, _ = training(store, epochs=3)
    broken = {"log_batch": MlflowClient.log_batch, "log_image": MlflowClient.log_image}

    def fail(*args, **kwargs):
        raise ConnectionError("the server is gone")

    @trainer.on(Events.ITERATION_STARTED(once=2))
    def down():
        for name in broken:
            monkeypatch.setattr(MlflowClient, name, fail)

    @trainer.on(Events.ITERATION_STARTED(once=5))
    def up():
        for name, method in broken.items():
            monkeypatch.setattr(MlflowClient, name, method)

    trainer.run()
    warned = [record.getMessage() for record in caplog.records if "the server is gone" in record.getMessage()]
    assert [text.split(": ")[1].split(" failed")[0] for text in warned] == ["logging metrics", "logging images"]
    # The numbers arrive late, but none is lost.
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert steps(client, run.info.run_id, "train/nen_loss") == [1, 2, 3, 4, 5, 6]
    assert steps(client, run.info.run_id, "val/psnr") == [2, 4, 6]


def test_weights_are_stored_though_the_store_failed_a_while_ago(training, store, client, tmp_path, monkeypatch):
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "model.pt").write_bytes(b"weights")
    trainer, tracker = training(store, epochs=1)

    @trainer.on(Events.EPOCH_COMPLETED)
    def rest():
        tracker.run._rest_until = time.monotonic() + 900

    trainer.run()
    assert "weights/model.pt" in artifacts(client, only_run(client).info.run_id)
    assert steps(client, only_run(client).info.run_id, "train/rn_loss") == [1, 2]


def test_a_picture_that_cannot_be_drawn_does_not_stop_the_training(training, store, client, caplog):
    trainer, tracker = training(store, epochs=1)
    tracker.evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda e: None)
    tracker.panel_size = "wide"
    trainer.run()
    assert only_run(client).info.status == "FINISHED"
    assert "drawing a panel" in caplog.text


def test_one_stage_trainers_log_one_loss(store, client, tmp_path):
    from monai.engines import SupervisedTrainer

    from noisewise.pipelines.tracking import ExperimentTracker

    network = torch.nn.Conv2d(3, 3, 1)
    SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.rand(2, 3, 8, 8), "label": torch.rand(2, 3, 8, 8)}] * 2,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), 0.01),
        loss_function=torch.nn.L1Loss(),
        decollate=False,
        train_handlers=[ExperimentTracker(tmp_path, tracking_uri=store, loss_interval=1)],
    ).run()
    assert set(only_run(client).data.metrics) == {"train/loss", "train/lr"}


@pytest.mark.parametrize("name", ["panel_interval", "panel_size", "loss_interval"])
def test_intervals_and_sizes_are_positive(training, store, name):
    with pytest.raises(ValueError, match=f"{name}.*0"):
        training(store, **{name: 0})


def test_a_missing_config_file_is_named_before_the_run(training, store):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        training(store, config_files=["nowhere.yaml"])


def test_environment_is_left_as_it_was(training, store):
    before = dict(os.environ)
    trainer, _ = training(store, epochs=1)
    trainer.run()
    after = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    before.pop("PYTEST_CURRENT_TEST", None)
    assert after == before
