# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of configs: plain definitions are built directly, all others by MONAI, with the same result."""

from __future__ import annotations

import pytest
import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.bundle import config as config_module
from noisewise.pipelines.bundle.config import network_from_config

PLAIN = "network_def:\n  _target_: noisewise.networks.TwoStageDenoiser\n  features: 8\n  growth: 4\n"
OTHERS = {
    "a reference": "n: 4\n" + PLAIN.replace("growth: 4", "growth: '@n'"),
    "an expression": PLAIN.replace("growth: 4", "growth: $2 + 2"),
    "a macro": "n: 4\n" + PLAIN.replace("growth: 4", "growth: '%n'"),
    "a key of MONAI": PLAIN + "  _disabled_: false\n",
    "an expression as a whole": (
        "network_def: $__import__('noisewise.networks').networks.TwoStageDenoiser(features=8, growth=4)\n"
    ),
}


@pytest.fixture
def write(tmp_path):
    def write(text, name="network.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def shapes(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_a_plain_definition_is_built_without_monai_and_is_the_same(write, monkeypatch):
    path = write(PLAIN)
    torch.manual_seed(0)
    plain = config_module._plain_network(path)
    monkeypatch.setattr(config_module, "_plain_network", lambda _: None)
    torch.manual_seed(0)
    parsed = network_from_config(path)
    assert type(plain) is type(parsed) is TwoStageDenoiser and shapes(plain) == shapes(parsed)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, parsed.state_dict()[name])


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_others_are_built_by_monai(write, text):
    path = write(text)
    assert config_module._plain_network(path) is None
    assert shapes(network_from_config(path)) == shapes(TwoStageDenoiser(features=8, growth=4))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: [", "cannot be read as a config"),
        ("a: 1\n", "has no 'network_def'; its keys are a"),
        (PLAIN.replace("growth: 4", "growth: 0"), "growth must be a positive integer, got 0"),
        (PLAIN.replace("growth", "groth"), "groth"),
        ("network_def:\n  _target_: noisewise.networks.fold_to_grayscale\n", "'network_def'"),
        ("network_def: 3\n", "'network_def' is not a network but a int"),
    ],
)
def test_errors_name_the_file_and_the_cause(write, text, cause):
    path = write(text)
    with pytest.raises(ValueError, match=r"network\.yaml: ") as error:
        network_from_config(path)
    assert cause in str(error.value)
