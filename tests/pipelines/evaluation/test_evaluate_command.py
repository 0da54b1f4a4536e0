# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise evaluate`` and the bundle's evaluate.yaml, which it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import mlflow
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.bundle.properties import InferProperties
from typer.testing import CliRunner

from noisewise.bundles import bundle_path
from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.bundle.config import network_from_config
from noisewise.pipelines.cli.app import app
from noisewise.pipelines.evaluation import read_scores

CONFIG = bundle_path("multimodal_denoising") / "configs" / "evaluate.yaml"
SMALL = {"features": 8, "growth": 4, "num_blocks": 1}


@pytest.fixture(autouse=True)
def restored_process_state(monkeypatch):
    """The config seeds everything and shortens error messages for the whole process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    deterministic, benchmark = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A config of a small network and weights that fit it."""
    folder = tmp_path_factory.mktemp("small")
    arguments = "".join(f"  {key}: '@{key}'\n" for key in SMALL)
    values = "".join(f"{key}: {value}\n" for key, value in SMALL.items())
    config = folder / "small.yaml"
    config.write_text(f"{values}network_def:\n  _target_: noisewise.networks.TwoStageDenoiser\n{arguments}")
    torch.manual_seed(0)
    torch.save(TwoStageDenoiser(**SMALL).state_dict(), folder / "small.pt")
    return config, folder / "small.pt"


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", "--no-track", *map(str, arguments)], env={"COLUMNS": "200"})


def command(manifest, small, output, *more):
    config, weights = small
    return run(
        *("--manifest", manifest, "--config", config, "--weights", weights, "--output", output, "--device", "cpu"),
        *("--stds", "25", "--limit", 1, *more),
    )


def test_one_command_compares_methods_and_another_goes_on(tmp_path, manifest, small):
    result = command(manifest, small, tmp_path, "--name", "small", "--nlm")
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "summary.csv", "summary.md", "picture.png"}
    rows = read_scores(tmp_path / "scores.csv")
    assert len(rows) == 2 * 2 * 3 and list(rows["method"].unique()) == ["small", "noisy", "nlm"]
    table = result.stdout
    for row in pd.read_csv(tmp_path / "summary.csv").itertuples():
        assert f"{row.psnr_mean:.2f} / {row.ssim_mean:.4f}" in table
    assert str(tmp_path / "summary.md") in table.replace("\n", "")

    again = command(
        manifest, small, tmp_path, "--no-network", "--no-picture", "--patterns", "gaussian", "--stds", "25,50"
    )
    assert again.exit_code == 0, again.output
    grown = read_scores(tmp_path / "scores.csv")
    assert len(grown) == len(rows) + 2 and set(grown["method"]) == {"small", "noisy", "nlm"}


def test_bundle_and_command_give_the_same_scores(tmp_path, manifest, small):
    command(manifest, small, tmp_path / "command", "--name", "two_stage", "--no-picture")
    workflow = ConfigWorkflow(
        str(CONFIG),
        logging_file=False,
        run_id="evaluating",
        workflow_type="inference",
        **{"manifest": str(manifest), "weights": str(small[1]), "output_dir": str(tmp_path / "bundle")},
        **{f"network_def::{key}": value for key, value in SMALL.items()},
        **{"stds": [25], "limit": 1, "picture": None, "progress": False, "device": "cpu", "track": False},
    )
    assert {prop["id"] for prop in InferProperties.values() if prop["required"]} <= set(workflow.parser.get())
    workflow.initialize()
    workflow.run()
    first, second = (read_scores(tmp_path / name / "scores.csv") for name in ("command", "bundle"))
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))


def test_monai_runs_the_bundle_from_anywhere(tmp_path, manifest, small):
    root = tmp_path / "elsewhere"
    shutil.copytree(CONFIG.parent, root / "configs")
    (root / "models").mkdir()
    shutil.copy(small[1], root / "models" / "model.pt")
    arguments = ["--config_file", str(root / "configs" / "evaluate.yaml"), "--bundle_root", str(root)]
    arguments += ["--manifest", str(manifest), "--limit", "1", "--stds", "[25]", "--patterns", "['gaussian']"]
    arguments += [part for key, value in SMALL.items() for part in (f"--network_def#{key}", str(value))]
    arguments += ["--output_dir", str(tmp_path / "out"), "--device", "cpu"]
    process = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "evaluating", *arguments],
        cwd=tmp_path,
        env={**{k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    rows = read_scores(tmp_path / "out" / "scores.csv")
    assert list(rows["method"]) == ["two_stage"] * 2 + ["noisy"] * 2
    assert (tmp_path / "out" / "picture.png").stat().st_size > 10_000
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (tracked,) = client.search_runs([client.get_experiment_by_name("noisewise").experiment_id])
    scores = read_scores(tmp_path / "out" / "scores.csv").query("method == 'two_stage'")
    by_modality = scores.groupby("modality")["psnr"].mean()
    assert tracked.data.metrics["test/two_stage/gaussian_25/psnr"] == pytest.approx(by_modality.mean())
    assert {file.path for file in client.list_artifacts(tracked.info.run_id, "results")} >= {"results/summary.md"}

def test_the_product_is_scored_on_floats_and_on_what_a_file_holds(tmp_path, manifest, small):
    for folder, options in {"float": [], "file": ["--as-file"]}.items():
        for through in ("network", "product"):
            result = command(
                *(manifest, small, tmp_path / folder, "--through", through, "--name", through, "--no-picture"),
                *("--patterns", "gaussian", *options),
            )
            assert result.exit_code == 0, result.output
    scores = {
        folder: read_scores(tmp_path / folder / "scores.csv").groupby("method")["psnr"].mean()
        for folder in ("float", "file")
    }
    # In rows and columns, which this untrained network tells apart; the values are those of the network.
    assert scores["float"]["product"] == pytest.approx(scores["float"]["network"], abs=0.1)
    assert scores["file"]["product"] == pytest.approx(scores["file"]["network"], abs=0.1)
    assert abs(scores["file"]["product"] - scores["float"]["product"]) > 1e-3
    assert bool(read_scores(tmp_path / "file" / "scores.csv")["quantize"].all())
    mixed = command(manifest, small, tmp_path / "float", "--as-file")
    assert mixed.exit_code == 1 and "choose another output folder" in mixed.stderr


# what is wrong, arguments, what the message says
MISTAKES = {
    "weights": (["--weights", "none.pt"], "none.pt: cannot read the weights"),
    "manifest": (["--manifest", "none.csv"], "none.csv"),
    "split": (["--split", "val"], "val"),
    "modality": (["--modality", "mri"], "mri"),
    "protocol": (["--protocol", "phisical"], "'phisical'"),
    "pattern": (["--patterns", "gausian"], "'gausian'"),
    "through": (["--through", "produkt"], "unknown through 'produkt'"),
    "stds": (["--stds", "ten"], "--stds"),
    "std": (["--stds", "-1"], "std must be"),
    "crop": (["--crop", "20"], "at least 41"),
    "config": (["--config", "none.yaml"], "none.yaml"),
}


@pytest.mark.parametrize(("wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_clear_line(tmp_path, manifest, small, monkeypatch, wrong, message):
    monkeypatch.chdir(tmp_path)
    result = command(manifest, small, tmp_path / "out", *wrong)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: ") and message in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "out").exists()


def test_weights_of_another_network_are_named(tmp_path, manifest, small):
    result = run("--manifest", manifest, "--weights", small[1], "--output", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert str(small[1]) in result.stderr and "do not fit" in result.stderr


# content of the config, what the message says
CONFIGS = {
    "no network": ("features: 8\n", "has no 'network_def'; its keys are features"),
    "typo": ("network_def:\n  _target_: noisewise.networks.TwoStageDenoise\n", "TwoStageDenoise"),
    "argument": ("network_def:\n  _target_: noisewise.networks.TwoStageDenoiser\n  feature: 8\n", "feature"),
    "no module": ("network_def: 3\n", "is not a network but a int"),
    "no yaml": ("network_def: [\n", "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), CONFIGS.values(), ids=CONFIGS)
def test_a_wrong_config_is_named(tmp_path, content, message):
    path = tmp_path / "net.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        network_from_config(path)
    assert str(path) in str(caught.value)


def test_the_network_of_a_whole_bundle_config_is_built():
    network = network_from_config(CONFIG)
    assert isinstance(network, TwoStageDenoiser) and len(list(network.parameters())) > 10
