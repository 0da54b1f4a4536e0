# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiny methods, tiny images, and one real training of a tiny network that several tests look at."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from noisewise.data_manifest import build_manifest
from noisewise.pipelines.cli.app import app

SIDE = 64
SETTINGS = {
    "batch_size": 4,
    "patch_size": 16,
    "steps_per_epoch": 2,
    "max_epochs": 2,
    "warmup_steps": 1,
    "val_size": 48,
    "val_stds": "[25]",
    "num_workers": 0,
    "device": "$torch.device('cpu')",
}
CLASSES = {"two_stage": ("TwoStageDenoiser", "TwoStage"), "twn": ("TwoStageWithoutAttention", "TWN")}


@pytest.fixture(autouse=True)
def restored_process_state(monkeypatch):
    """The evaluation's config seeds everything and shortens error messages for the whole process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = deterministic


def write_method(folder: Path, name: str, order: int = 1, features: int = 4, **info: object) -> Path:
    """The config of a small network under a method's name."""
    target, published = CLASSES.get(name, ("TwoStageDenoiser", None))
    entries = {
        "name": name,
        "title": name.replace("_", "-").capitalize(),
        "order": order,
        "published": published,
        "standing": "ours",
        "single_stage": False,
        "reference": "nobody, nowhere",
        **info,
    }
    lines = [f"  {key}: {'null' if value is None else value}" for key, value in entries.items()]
    network = f"network_def:\n  _target_: noisewise.networks.{target}\n"
    network += f"  features: {features}\n  growth: 2\n  num_blocks: 1\n"
    path = folder / f"{name}.yaml"
    path.write_text("method_info:\n" + "\n".join(lines) + "\n" + network)
    return path


@pytest.fixture
def methods_folder(tmp_path) -> Path:
    """A folder with two methods."""
    folder = tmp_path / "methods"
    folder.mkdir()
    write_method(folder, "twn", order=2, features=6)
    write_method(folder, "two_stage", order=1)
    return folder


@pytest.fixture
def method_writer():
    """The function :func:`write_method`."""
    return write_method


def texture(seed: int) -> np.ndarray:
    """A smooth random grey image, uint8."""
    rough = np.random.RandomState(seed).rand(5, 5)
    image = Image.fromarray((rough * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory) -> Path:
    """Two modalities with images in all three splits."""
    root = tmp_path_factory.mktemp("images")
    records = []
    for index, (modality, split, count) in enumerate(
        (modality, split, count)
        for modality in ("mri", "ct")
        for split, count in (("train", 3), ("val", 1), ("test", 2))
    ):
        for number in range(count):
            folder = root / modality / split / f"{modality}_{split}_{number}"
            folder.mkdir(parents=True)
            Image.fromarray(texture(10 * index + number)).save(folder / "image.png")
        part = build_manifest(
            root / modality / split,
            root / f"{modality}_{split}.csv",
            modality=modality,
            source="made up",
            licence="none",
            split=split,
        )
        records += list(part)
    path = root / "manifest.csv"
    type(part)(records).write(path)
    return path


def run_command(*arguments: object):
    """``noisewise reproduce`` with these arguments."""
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def command():
    """The function :func:`run_command`."""
    return run_command


@pytest.fixture(scope="session")
def trained(tmp_path_factory, manifest) -> SimpleNamespace:
    """A finished real training of one tiny method: ``output``, ``methods``, ``result``, ``arguments``."""
    root = tmp_path_factory.mktemp("trained")
    (root / "methods").mkdir()
    write_method(root / "methods", "two_stage")
    arguments = ["--manifest", manifest, "--output", root / "output", "--methods", root / "methods"]
    arguments += [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    result = run_command("train", *arguments)
    return SimpleNamespace(output=root / "output", methods=root / "methods", result=result, arguments=arguments)
