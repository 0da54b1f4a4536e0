# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The defaults of the training are the paper's hyperparameters."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from noisewise.bundles import bundle_path

# Section IV of the paper; 24,000 images in 100 epochs are steps_per_epoch with the paper's data.
PUBLISHED = {
    "batch_size": 24,
    "patch_size": 64,
    "max_epochs": 100,
    "patterns": ["gaussian", "speckle"],
    "std_range": [0, 75],
    "learning_rate": 0.0005,
    "betas": [0.9, 0.99],
    "schedule": "constant",
    "warmup_steps": 0,
    "gradient_clip": None,
    "amp_dtype": None,
    "nen_optimizer::_target_": "torch.optim.Adam",
    "rn_optimizer::_target_": "torch.optim.Adam",
    "nen_optimizer::lr": "@learning_rate",
    "rn_optimizer::lr": "@learning_rate",
    "nen_optimizer::betas": "@betas",
    "rn_optimizer::betas": "@betas",
    "nen_loss::_target_": "torch.nn.MSELoss",
    "rn_loss::_target_": "torch.nn.L1Loss",
}
# Choices that the paper leaves open; changing one of them changes every training.
OURS = {
    "steps_per_epoch": "$max(1, len(@train_items) // @batch_size)",
    "protocol": "physical",
    "ema_decay": 0.999,
    "seed": 0,
    "balance_modalities": True,
    "val_stds": [25, 50],
    "val_size": 128,
    "val_interval": 1,
    "commercial_use": False,
}


@pytest.fixture(scope="module")
def config() -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(bundle_path("multimodal_denoising") / "configs" / "train.yaml"))
    return parser


@pytest.mark.parametrize(("key", "value"), [*PUBLISHED.items(), *OURS.items()])
def test_defaults(config, key, value):
    assert config[key] == value
