# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.denoising import Denoiser


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A small untrained network with the default's receptive radius: its weights file and its config."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = TwoStageDenoiser(features=8, growth=4)
    torch.save(network.state_dict(), folder / "small.pt")
    config = folder / "small.yaml"
    config.write_text("network_def:\n  _target_: noisewise.networks.TwoStageDenoiser\n  features: 8\n  growth: 4\n")
    return folder / "small.pt", config


@pytest.fixture
def make_denoiser(small_model):
    """Denoisers around the small network, in PyTorch on the CPU."""

    def make(**options):
        weights, config = small_model
        return Denoiser(weights, **{"engine": "torch", "device": "cpu", "config": config, **options})

    return make
