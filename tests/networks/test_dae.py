# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""DAE, which is re-interpreted: an autoencoder with batch normalization."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import DAE


def test_counts(denoisers):
    assert denoisers.count(DAE()) == 27 * 64 + 3 * 9 * 64**2 + 4 * 128 + (9 * 64 * 3 + 3) == 114_563
    full, half = 256**2, 128**2
    # The second half up-samples first, so its convolutions run at half and full size.
    assert denoisers.macs(DAE()) == 9 * (full * 3 * 64 + half * 64**2 + half * 64**2 + full * 64**2 + full * 64 * 3)


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: DAE(channels, features=8))


def test_layers_written_out(denoisers):
    torch.manual_seed(0)
    network = DAE(features=6, negative_slope=0.1).train()
    out = x = denoisers.image(2, 3, 8, 12)
    *normalized, last = (module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    for index, conv in enumerate(normalized):
        if index >= 2:
            out = out.repeat_interleave(2, -1).repeat_interleave(2, -2)
        out = functional.conv2d(out, conv.weight, padding=1)
        mean, var = out.mean((0, 2, 3), keepdim=True), out.var((0, 2, 3), keepdim=True, unbiased=False)
        out = functional.leaky_relu((out - mean) / (var + 1e-5).sqrt(), 0.1)
        if index < 2:
            out = functional.max_pool2d(out, 2)
    torch.testing.assert_close(network(x), functional.conv2d(out, last.weight, last.bias, padding=1).sigmoid())


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(DAE().eval()(denoisers.image(1, 3, 10, 9)).mean()) == pytest.approx(0.534886, rel=1e-4)


def test_the_docstring_says_that_it_is_re_interpreted():
    assert "re-interpreted" in DAE.__doc__
