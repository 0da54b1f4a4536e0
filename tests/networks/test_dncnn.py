# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""DnCNN and MCDnCNN: their published counts, layers and initial weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from noisewise.networks import DnCNN, MCDnCNN


# network, convolutions, parameters, G multiply-accumulates as published
@pytest.mark.parametrize(
    ("make", "depth", "parameters", "gmac"), [(DnCNN, 17, 558_403, "36.5"), (MCDnCNN, 10, 299_459, "19.6")]
)
def test_counts(denoisers, make, depth, parameters, gmac):
    network = make()
    assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) == depth
    assert denoisers.count(network) == parameters
    expected = 256**2 * 9 * (3 * 64 + (depth - 2) * 64**2 + 64 * 3)
    assert denoisers.macs(network) == expected and f"{expected / 1e9:.1f}" == gmac


@pytest.mark.parametrize("make", [DnCNN, MCDnCNN])
def test_behaves_as_a_denoiser(denoisers, make):
    denoisers.check(lambda channels=3: make(channels, depth=4, features=8))


def test_layers_written_out(denoisers):
    torch.manual_seed(0)
    network = DnCNN(depth=4, features=6).train()
    x = denoisers.image(2, 3, 8, 9)
    convs = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    out = functional.conv2d(x, convs[0].weight, convs[0].bias, padding=1).relu()
    for conv in convs[1:-1]:
        assert conv.bias is None
        out = functional.conv2d(out, conv.weight, padding=1)
        mean, var = out.mean((0, 2, 3), keepdim=True), out.var((0, 2, 3), keepdim=True, unbiased=False)
        out = ((out - mean) / (var + 1e-5).sqrt()).relu()
    out = functional.conv2d(out, convs[-1].weight, convs[-1].bias, padding=1)
    torch.testing.assert_close(network(x), x - out)


def test_kernels_start_by_he_s_method():
    torch.manual_seed(0)
    network = DnCNN()
    assert float(network.layers[2].weight.detach().std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert float(network.layers[0].bias.abs().sum()) == 0


# network, mean of its output for a fixed image
@pytest.mark.parametrize(("make", "value"), [(DnCNN, 0.620089), (MCDnCNN, 0.739794)])
def test_frozen_value(denoisers, make, value):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(make().eval()(denoisers.image(1, 3, 10, 9)).mean()) == pytest.approx(value, rel=1e-4)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="depth must be at least 2, got 1"):
        DnCNN(depth=1)
    with pytest.raises(ValueError, match="features must be a positive integer, got 0"):
        DnCNN(features=0)
