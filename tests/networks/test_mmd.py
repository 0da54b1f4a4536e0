# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MMD, which is re-interpreted: twelve normalized convolutions and one more."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import MMD


def test_counts(denoisers):
    network = MMD()
    assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) == 13
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 12
    assert denoisers.count(network) == 27 * 64 + 11 * 9 * 64**2 + 12 * 128 + (9 * 64 * 3 + 3) == 410_499
    assert denoisers.macs(network) == 256**2 * 9 * (2 * 3 * 64 + 11 * 64**2)


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: MMD(channels, depth=3, features=8))


def test_layers_written_out(denoisers):
    torch.manual_seed(0)
    network = MMD(depth=2, features=6).train()
    out = x = denoisers.image(2, 3, 8, 9)
    *normalized, last = (module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    for conv in normalized:
        out = functional.conv2d(out, conv.weight, padding=1)
        mean, var = out.mean((0, 2, 3), keepdim=True), out.var((0, 2, 3), keepdim=True, unbiased=False)
        out = ((out - mean) / (var + 1e-5).sqrt()).relu()
    torch.testing.assert_close(network(x), x - functional.conv2d(out, last.weight, last.bias, padding=1))


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(MMD().eval()(denoisers.image(1, 3, 10, 9)).mean()) == pytest.approx(0.203093, rel=1e-4)


def test_the_docstring_says_that_it_is_re_interpreted():
    assert "re-interpreted" in MMD.__doc__
