# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A tiny network, its weights, and runs of the inference config in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import monai.bundle
import pytest
import torch

from noisewise.bundles import bundle_path
from noisewise.networks import TwoStageDenoiser

BUNDLE = bundle_path("multimodal_denoising")
TINY = {"features": 4, "growth": 2, "num_blocks": 1}


@pytest.fixture(autouse=True)
def interpreter_state(monkeypatch):
    """Running a bundle changes these for its process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def bundle() -> Path:
    return BUNDLE


@pytest.fixture
def overrides() -> dict[str, int]:
    """Overrides that make the bundle's network tiny."""
    return {f"network_def#{name}": value for name, value in TINY.items()}


@pytest.fixture
def tiny() -> TwoStageDenoiser:
    torch.manual_seed(0)
    return TwoStageDenoiser(**TINY).eval()


@pytest.fixture
def save_weights(tmp_path):
    """Saves a network's weights; returns their path."""

    def save(network: torch.nn.Module, name: str = "weights.pt") -> str:
        torch.save(network.state_dict(), tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def infer(tmp_path, overrides):
    """Runs the inference config on ``tmp_path / "in"``; returns the folder of the results."""

    def run(weights: str, **options) -> Path:
        output = options.setdefault("output_dir", str(tmp_path / "out"))
        monai.bundle.run(
            "inferring",
            config_file=str(BUNDLE / "configs" / "inference.yaml"),
            logging_file=False,  # its handlers would outlive the test
            workflow_type="infer",
            dataset_dir=options.pop("dataset_dir", str(tmp_path / "in")),
            weights=weights,
            device=torch.device("cpu"),
            **overrides,
            **options,
        )
        return Path(output)

    return run
