# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import pytest

from noisewise.pipelines.tracking import TrackedRun, log_evaluation


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "scores.csv").write_text("image_id,psnr\nab12,31.5\n")
    (folder / "summary.md").write_text("| psnr |\n|--:|\n| 31.5 |\n")
    (folder / "grid.png").write_bytes(b"1")
    return folder


def test_what_an_evaluation_leaves(results, store, client):
    run_id = log_evaluation(
        results,
        metrics={"psnr": 31.5, "mri": {"gaussian": {"psnr": 30.0}}},
        params={"protocol": "physical", "weights": "/models/model.pt"},
        tracking_uri=store,
        manifest_digest="cd" * 32,
        manifest_counts={"test": 3},
    )
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"test/psnr": 31.5, "test/mri/gaussian/psnr": 30.0}
    assert run.data.params == {"protocol": "physical", "data.digest": "cd" * 8, "data.test": "3"}
    assert run.data.tags["version.torch"]
    assert {a.path for a in client.list_artifacts(run_id, "results")} == {
        "results/scores.csv", "results/summary.md", "results/grid.png",
    }  # fmt: skip


def test_it_is_shown_below_the_training_of_its_weights(results, store, client, tmp_path):
    training = TrackedRun(store)
    (tmp_path / "mlflow_run_id.txt").write_text(training.run_id + "\n")
    run_id = log_evaluation(results, tracking_uri=store, training_dir=tmp_path)
    assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == training.run_id
    training.finish()


def test_without_a_store_there_is_a_warning(results, caplog):
    assert log_evaluation(results, tracking_uri="http://127.0.0.1:9") is None
    assert "http://127.0.0.1:9" in caplog.text
