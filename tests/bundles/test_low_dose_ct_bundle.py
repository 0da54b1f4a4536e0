# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The low-dose CT bundle through MONAI's own command line: metadata, training, evaluation, inference."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from monai.bundle import ConfigParser, verify_metadata, verify_net_in_out
from PIL import Image

from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest, ManifestRecord, file_digest
from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.low_dose_ct.folds import study_methods
from noisewise.pipelines.reproduce.budget import plan_training
from noisewise.transforms import limit_outside

BUNDLE = bundle_path("low_dose_ct_denoising")
CONFIGS = BUNDLE / "configs"
SMALL = {
    "network_def#features": 8,
    "network_def#growth": 4,
    "network_def#num_blocks": 1,
}


def run(run_id: str, *files: str, **overrides) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "monai.bundle", "run", run_id]
    command += ["--config_file", str([str(CONFIGS / file) for file in files])]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def slice_hu(seed: int, noise: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:96, :96] - 47.5
    image = np.where((y / 40) ** 2 + (x / 44) ** 2 < 1, 40.0, -1000.0)
    image[(y - seed) ** 2 + (x + 8) ** 2 < 90] = 300
    image += np.random.default_rng(seed).normal(0, 1, image.shape) * noise
    return np.clip(image, -1024, 3000)


def save(path: Path, image: np.ndarray) -> Path:
    Image.fromarray(np.round(image + 1024).astype(np.uint16)).save(path)
    return path


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> dict[str, Path]:
    """``clean``: normal-dose slices; ``pairs``: low- and full-dose slices of two kernels."""
    folder = tmp_path_factory.mktemp("ct")
    found: dict[str, list[ManifestRecord]] = {"clean": [], "pairs": []}
    for index, split in enumerate(("train", "train", "val", "test")):
        for kernel, level in (("B30f", 15), ("D45f", 40)):
            full = save(folder / f"{index}_{kernel}_full.png", slice_hu(index, level))
            low = save(folder / f"{index}_{kernel}_low.png", slice_hu(index + 20, 2 * level))
            common = {
                "slice": None,
                "modality": "ct",
                "source": "phantom",
                "license": "CC0-1.0",
                "subject": f"s{index}",
                "split": split,
                "stored_dtype": "uint16",
                "intensity_min": 24.0,
                "intensity_max": 2024.0,
                "channels": 1,
                "height": 96,
                "width": 96,
                "kernel": kernel,
            }
            found["clean"].append(ManifestRecord(path=str(full), sha256=file_digest(full), **common))
            found["pairs"].append(ManifestRecord(path=str(low), sha256=file_digest(low), target=str(full), **common))
    return {name: Manifest(records).write(folder / f"{name}.csv") for name, records in found.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.manual_seed(0)
    torch.save(TwoStageDenoiser(features=8, growth=4, num_blocks=1).state_dict(), path)
    return path


TINY = {
    **SMALL,
    "track": False,
    "batch_size": 2,
    "patch_size": 32,
    "val_size": 64,
    "steps_per_epoch": 2,
    "max_epochs": 1,
    "warmup_steps": 1,
}


def test_metadata_follows_the_schema():
    schema = Path(__file__).with_name("meta_schema_20240725.json")
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]


def test_every_file_of_a_bundle_is_there():
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf", "models/model.pt"):
        assert (BUNDLE / name).is_file(), name


def test_network_takes_and_gives_what_the_metadata_say():
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "inference.yaml"),
        device="cpu",
        n=4,
    )


def test_training_on_simulated_doses(manifests, weights, tmp_path):
    done = run(
        "training",
        "train.yaml",
        manifest=manifests["clean"],
        output_dir=tmp_path / "out",
        initial_weights=weights,
        **TINY,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = (torch.load(path, weights_only=True) for path in (weights, tmp_path / "out" / "model.pt"))
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_training_on_pairs_of_one_kernel_with_a_frozen_stage(manifests, weights, tmp_path):
    done = run(
        "training",
        "train.yaml",
        "pairs.yaml",
        "sharp_kernel.yaml",
        manifest=manifests["pairs"],
        output_dir=tmp_path / "out",
        initial_weights=weights,
        frozen="^nen",
        ema_decay=0.0,
        **TINY,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Loading dataset: 100%|██████████| 2/2" in done.stderr  # two patients, the sharp kernel only
    before, after = (torch.load(path, weights_only=True) for path in (weights, tmp_path / "out" / "model.pt"))
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"rn"}


@pytest.mark.parametrize(
    "files, kind, lines",
    [(("evaluate.yaml",), "clean", 4), (("evaluate.yaml", "evaluate_pairs.yaml"), "pairs", 2)],
)
def test_evaluation_scores_each_slice(manifests, weights, tmp_path, files, kind, lines):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    done = run(
        "evaluating",
        *files,
        manifest=manifests[kind],
        output_dir=tmp_path / "out",
        weights=weights,
        limit=1,
        tracking_uri=store,
        **SMALL,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / "out" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == lines
    low = [row for row in rows if row["method"] == "low dose"]
    assert all(float(row["rmse_ratio"]) == 1 for row in low) and len(low) == lines // 2
    assert {row["subject"] for row in rows} == {"s3"}
    assert "| denoised |" in (tmp_path / "out" / "summary.md").read_text()

    client = MlflowClient(store)
    (tracked,) = client.search_runs([client.get_experiment_by_name("noisewise").experiment_id])
    for row in rows:
        name = f"test/{row['method'].replace(' ', '_')}/{row['kernel']}/rmse_hu"
        assert tracked.data.metrics[name] == pytest.approx(float(row["rmse_hu"]))
    assert "pairs" in tracked.data.params if kind == "pairs" else tracked.data.params["dose"] == "0.25"
    assert "out" not in str(tracked.data.params) and "s3" not in str(tracked.data.metrics)


def test_inference_keeps_hounsfield_units(weights, tmp_path):
    image = slice_hu(1, 20).astype(np.float32)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(image[..., None], np.diag([0.7, 0.7, 3, 1])), tmp_path / "in" / "a.nii.gz")
    done = run(
        "inferring",
        "inference.yaml",
        dataset_dir=tmp_path / "in",
        output_dir=tmp_path / "out",
        weights=weights,
        **SMALL,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = nibabel.load(next((tmp_path / "out").rglob("*.nii.gz")))
    assert np.allclose(result.affine, np.diag([0.7, 0.7, 3, 1]))
    denoised = np.asarray(result.dataobj)[..., 0]
    # Metal keeps its distance from the range; the rest equals the network's result computed by hand.
    network = TwoStageDenoiser(features=8, growth=4, num_blocks=1)
    network.load_state_dict(torch.load(weights, weights_only=True))
    unit = limit_outside(torch.from_numpy((image + 1000) / 2000)[None, None]).mT.expand(1, 3, -1, -1)
    with torch.no_grad():
        change = (network.eval()(unit).mean(1)[0] - unit[0, 0]).numpy().T * 2000
    assert np.allclose(denoised, image + change, atol=0.05)


@pytest.mark.parametrize("method", study_methods(), ids=lambda method: method.name)
def test_methods_share_one_budget_and_build(method):
    plan = plan_training(method, bundle="low_dose_ct_denoising", overlays=("pairs.yaml",))
    assert plan.config["paired"] and plan.config["max_epochs"] == plan.budget["max_epochs"]
    parameters = sum(p.numel() for p in method.network().parameters())
    expected = {"red_cnn": 1_858_467, "dncnn": 558_403}
    assert parameters == expected.get(method.name, 586_242)
    initial = ConfigParser.load_config_file(method.config).get("initial_weights", "multimodal")
    assert (initial == "multimodal") is (method.name in ("tuned", "sharp_kernel"))
