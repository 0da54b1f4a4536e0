# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``make train`` in small: everything it promises is written, and nothing into the bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisewise.bundles import bundle_path
from noisewise.pipelines.cli.quickstart import quickstart

pytest.importorskip("data_store", reason="the embedded images need pydicom-data")

SMALL = {"network_def#features": 4, "network_def#growth": 2, "network_def#num_blocks": 1}


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_quickstart_leaves_weights_table_picture_and_store(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = snapshot(bundle_path("multimodal_denoising"))
    run = quickstart(
        tmp_path,
        training={**SMALL, "batch_size": 2, "steps_per_epoch": 2, "max_epochs": 1, "val_limit": 1, "train_limit": 2},
        evaluation={**SMALL, "crop": 64, "stds": "[50]", "limit": 1},
    )
    assert snapshot(bundle_path("multimodal_denoising")) == before
    for name in ("model.pt", "evaluation/summary.md", "evaluation/scores.csv", "evaluation/picture.png"):
        assert (run / name).stat().st_size > 0, name
    printed = capfd.readouterr().out
    for path in (run / "model.pt", run / "evaluation" / "summary.md", tmp_path / "mlflow.db"):
        assert str(path) in printed
    assert f"ui --backend-store-uri sqlite:///{tmp_path / 'mlflow.db'}" in printed

    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("noisewise").experiment_id])
    assert [r.info.status for r in runs] == ["FINISHED", "FINISHED"]
    evaluation, training = runs  # the newest first
    assert training.data.metrics["val/psnr"] > 0 and training.data.params["protocol"] == "physical"
    assert evaluation.data.tags["mlflow.parentRunId"] == training.info.run_id
    assert evaluation.data.metrics["test/two_stage/gaussian_50/psnr"] > 0


def test_a_failing_step_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="failed"):
        quickstart(tmp_path, training={"protocol": "fog"})
