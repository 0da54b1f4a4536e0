# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The overlays of the compared methods: their contents, and that each one can be trained and evaluated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image
from typer.testing import CliRunner

import noisewise
from noisewise.bundles import bundle_path
from noisewise.data_manifest import build_manifest
from noisewise.networks.restormer import has_einops
from noisewise.pipelines.bundle.config import network_from_config
from noisewise.pipelines.cli.app import app
from noisewise.pipelines.evaluation import read_scores
from noisewise.pipelines.training import SingleStageTrainer, TwoStageTrainer

CONFIGS = bundle_path("multimodal_denoising") / "configs"
# name, position in tables, name in the paper, standing, parameters
METHODS = [
    ("two_stage", 1, "TwoStage", "ours", 586_242),
    ("nen", 2, "NEN", "ours", 283_776),
    ("twn", 3, "TWN", "ours", 567_648),
    ("dncnn", 4, "DnCNN", "verified", 558_403),
    ("mid_dran", 5, "DRAN", "verified", 969_664),
    ("red_cnn", 6, None, "verified", 1_858_467),
    ("restormer", 7, None, "modern reference", 8_045_200),
    ("cae", 8, "CAE", "verified", 114_307),
    ("dae", 9, "DAE", "re-interpreted", 114_563),
    ("rescnn", 10, "ResCNN", "re-interpreted", 484_419),
    ("mmd", 11, "MMD", "re-interpreted", 410_499),
    ("mcdncnn", 12, None, "re-interpreted", 299_459),
]
NAMES = [method[0] for method in METHODS]
TWO_STAGES = ("two_stage", "twn")


def skip_without_einops(name: str) -> None:
    if name == "restormer" and not has_einops:
        pytest.skip("einops is not installed")


def config(name: str) -> dict:
    return ConfigParser.load_config_file(CONFIGS / "methods" / f"{name}.yaml")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images")
    parts = []
    for seed, split in enumerate(("train", "train", "val", "test")):
        rough = Image.fromarray(np.random.RandomState(seed).randint(0, 255, (6, 6), np.uint8))
        path = root / split / f"subject{seed}" / "a.png"
        path.parent.mkdir(parents=True)
        rough.resize((48, 48), Image.Resampling.BICUBIC).save(path)
    for split in ("train", "val", "test"):
        options = {"modality": "mri", "source": "made up", "license": "none", "split": split}
        parts.append(build_manifest(root / split, root / f"{split}.csv", **options))
    type(parts[0])([record for part in parts for record in part]).write(root / "manifest.csv")
    return root / "manifest.csv"


def train(manifest: Path, output: Path, name: str, **overrides):
    """Train one method for two steps; returns its trainer and the batches that it saw."""
    method = name if name.endswith(".yaml") else f"methods/{name}.yaml"
    files = ["train.yaml", *([] if name in TWO_STAGES else ["single_stage.yaml"]), method]
    options = {"batch_size": 2, "patch_size": 16, "val_size": 48, "steps_per_epoch": 2, "max_epochs": 1}
    options |= {"val_stds": [25], "num_workers": 0, "track": False, "manifest": str(manifest)}
    workflow = ConfigWorkflow(
        [str(CONFIGS / file) for file in files],
        logging_file=False,
        workflow_type="train",
        run_id="training",
        output_dir=str(output),
        device=torch.device("cpu"),
        **options | overrides,
    )
    workflow.initialize()
    trainer = workflow.parser.get_parsed_content("train#trainer")
    batches = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: batches.append((engine.state.output["image"].clone(), engine.state.output["residual"].clone())),
    )
    workflow.run()
    workflow.finalize()
    return trainer, batches


def test_every_overlay_is_listed_here():
    assert sorted(path.stem for path in (CONFIGS / "methods").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(("name", "order", "published", "standing", "parameters"), METHODS, ids=NAMES)
def test_an_overlay_holds_the_method_and_nothing_else(name, order, published, standing, parameters):
    skip_without_einops(name)
    content = config(name)
    info = content["method_info"]
    assert info.keys() == {"name", "title", "order", "published", "standing", "single_stage", "reference"}
    assert (info["name"], info["order"], info["published"], info["standing"]) == (name, order, published, standing)
    assert info["single_stage"] is (name not in TWO_STAGES)
    assert info["title"] and info["reference"]
    own = {"method_info", "network_def", "learning_rate", "betas"} | ({"loss"} if info["single_stage"] else set())
    assert content.keys() == own
    network = network_from_config(CONFIGS / "methods" / f"{name}.yaml")
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    if standing == "re-interpreted":
        assert "only the abstract was at hand" in " ".join(type(network).__doc__.split())


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_says_how_it_is_used(name):
    first, *rest = (CONFIGS / "methods" / f"{name}.yaml").read_text().splitlines()
    command = " ".join(line for line in rest[:2])
    assert first.startswith("# ") and "python -m monai.bundle run training" in command
    assert f"methods/{name}.yaml" in command and ("single_stage.yaml" in command) is (name not in TWO_STAGES)


SMALLER = {"nen": "network_def::network::features"}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_trains_and_is_validated(manifest, tmp_path, name):
    skip_without_einops(name)
    smaller = {SMALLER.get(name, "network_def::features"): 8}
    trainer, batches = train(manifest, tmp_path / "run", name, **smaller)
    assert type(trainer) is (TwoStageTrainer if name in TWO_STAGES else SingleStageTrainer)
    assert len(batches) == 2 and np.isfinite(float(trainer.state.output["loss"]))
    info = config(name)
    optimizer = trainer.rn_optimizer if name in TWO_STAGES else trainer.optimizer
    assert optimizer.param_groups[0]["lr"] == info["learning_rate"]
    assert list(optimizer.param_groups[0]["betas"]) == info["betas"]
    (line,) = map(json.loads, (tmp_path / "run" / "validation.jsonl").read_text().splitlines())
    scores = {"psnr", "ssim", "delta_e", "vifp", "mse"}
    assert line.keys() - {"epoch", "step"} == scores | (
        {f"nen_{score}" for score in scores} if name in TWO_STAGES else set()
    )


@pytest.mark.parametrize("name", ["dncnn", "cae"])
def test_trained_weights_of_full_size_are_evaluated(manifest, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    train(manifest, tmp_path / "run", name)
    method = str(CONFIGS / "methods" / f"{name}.yaml")
    weights = str(tmp_path / "run" / "model.pt")
    line = ["evaluate", "--manifest", str(manifest), "--config", method, "--weights", weights, "--name", name]
    line += ["--output", str(tmp_path / "scores"), "--stds", "25", "--no-track", "--no-picture", "--device", "cpu"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    rows = read_scores(tmp_path / "scores" / "scores.csv")
    assert set(rows["method"]) == {name, "noisy"} and rows["psnr"].notna().all()


def test_the_same_seed_gives_all_methods_the_same_images_and_noise(manifest, tmp_path):
    seen = {
        name: train(manifest, tmp_path / name, name, **{SMALLER.get(name, "network_def::features"): 8})[1]
        for name in ("two_stage", "nen", "dncnn", "cae")
    }
    for name, batches in seen.items():
        for (image, noise), (expected_image, expected_noise) in zip(batches, seen["two_stage"]):
            assert torch.equal(image, expected_image) and torch.equal(noise, expected_noise), name
    (first, noise), (second, _) = seen["two_stage"]
    assert not torch.equal(first, second) and noise.std() > 0
    other = train(manifest, tmp_path / "other", "dncnn", seed=1, **{"network_def::features": 8})[1]
    assert not torch.equal(other[0][0], first)


def test_a_stopped_single_stage_run_goes_on_to_the_same_weights(manifest, tmp_path):
    options = {"network_def::features": 8, "amp_dtype": "bfloat16"}
    train(manifest, tmp_path / "whole", "dncnn", max_epochs=3, **options)
    train(manifest, tmp_path / "parts", "dncnn", max_epochs=1, **options)
    train(manifest, tmp_path / "parts", "dncnn", max_epochs=3, resume=True, **options)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() > {"network", "ema", "optimizer", "lr_schedule", "progress"}
    assert whole["progress"] == parts["progress"] and whole["progress"]["epoch"] == 3
    for part in ("network", "ema"):
        for key, value in whole[part].items():
            assert torch.equal(value, parts[part][key]), key


def test_clean_images_above_1_train_the_autoencoder(manifest, tmp_path):
    """Values above the upper percentile are not clipped, and cross-entropy is defined on [0, 1] only."""
    brighter = {"_target_": "ScaleIntensityd", "keys": "image", "minv": -0.1, "maxv": 1.4}
    trainer, _ = train(manifest, tmp_path / "run", "cae", **{"train::deterministic_transforms::2": brighter})
    label = trainer.state.output["label"]
    assert label.max() > 1 and label.min() < 0
    assert np.isfinite(float(trainer.state.output["loss"]))


def test_the_worked_example_of_the_documentation_runs(manifest, tmp_path, monkeypatch):
    text = (Path(noisewise.__file__).parent / "docs" / "adding_a_method.md").read_text()
    (network,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (overlay,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (tmp_path / "wide_cnn_example.py").write_text(network)
    monkeypatch.syspath_prepend(tmp_path)
    method = tmp_path / "wide_cnn.yaml"
    method.write_text(overlay.replace("noisewise.networks.wide_cnn.", "wide_cnn_example."))
    trainer, _ = train(manifest, tmp_path / "run", str(method))
    assert type(trainer.network).__name__ == "WideCNN" and trainer.network(torch.zeros(1, 3, 5, 7)).shape[-1] == 7
    assert (tmp_path / "run" / "model.pt").is_file()
    example, real = ConfigParser.load_config_file(method), config("dncnn")
    assert example.keys() == real.keys() and example["method_info"].keys() == real["method_info"].keys()
