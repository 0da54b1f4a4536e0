# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A tiny data set of made-up images, and the command line that trains a tiny network on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from noisewise.bundles import bundle_path
from noisewise.data_manifest import build_manifest

CONFIGS = bundle_path("multimodal_denoising") / "configs"
TINY = {
    "network_def#features": 4,
    "network_def#growth": 2,
    "network_def#num_blocks": 1,
    "patch_size": 16,
    "val_size": 48,
    "batch_size": 4,
    "steps_per_epoch": 4,
    "max_epochs": 3,
    "track": False,
}


def texture(seed: int, size: int = 64) -> np.ndarray:
    """A smooth random gray image, uint8."""
    rough = np.random.RandomState(seed).rand(5, 5)
    return np.asarray(Image.fromarray((rough * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def manifest(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for split, count in (("train", 6), ("val", 2)):
        for index in range(count):
            folder = root / split / f"{split}{index}"
            folder.mkdir(parents=True)
            Image.fromarray(texture(index + 100 * (split == "val"))).save(folder / "image.png")
    path = root / "manifest.csv"
    records = []
    for split in ("train", "val"):
        part = build_manifest(
            root / split, root / f"{split}.csv", modality="mri", source="made up", license="none", split=split
        )
        records += list(part)
    type(part)(records).write(path)
    return path


def command(manifest: Path, output: Path, *overlays: str, **overrides: object) -> list[str]:
    """The bundle's training command line for the tiny network."""
    files = [str(CONFIGS / name) for name in ("train.yaml", *overlays)]
    line = ["-m", "monai.bundle", "run", "training", "--config_file", str(files) if overlays else files[0]]
    for key, value in {**TINY, "manifest": manifest, "output_dir": output, **overrides}.items():
        line += [f"--{key}", str(value)]
    return line


def train(manifest: Path, output: Path, *overlays: str, check: bool = True, **overrides: object):
    """Run it in a separate process; returns the completed process with its output."""
    done = subprocess.run(
        [sys.executable, *command(manifest, output, *overlays, **overrides)],
        cwd=output.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """``train``, ``command`` and ``texture`` for the tests."""
    return SimpleNamespace(train=train, command=command, texture=texture)
