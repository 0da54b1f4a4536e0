# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The convolutional autoencoder: its published counts, its layers, its sigmoid under bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import ConvolutionalAutoencoder


def test_counts(denoisers):
    assert denoisers.count(ConvolutionalAutoencoder()) == 114_307
    # By hand: pixels at full, half and quarter size.
    expected = 256**2 * 27 * 64 + 128**2 * 9 * 64**2 + 64**2 * 9 * 64**2 + 128**2 * 9 * 64**2 + 256**2 * 9 * 64 * 3
    assert denoisers.macs(ConvolutionalAutoencoder()) == expected
    assert f"{expected / 1e9:.2f}" == "1.59"


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: ConvolutionalAutoencoder(channels, features=8))


def test_layers_written_out(denoisers):
    torch.manual_seed(0)
    network = ConvolutionalAutoencoder(features=6)
    convs = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    out = x = denoisers.image(2, 3, 8, 12)
    for conv in convs[:2]:
        out = functional.max_pool2d(functional.conv2d(out, conv.weight, conv.bias, padding=1).relu(), 2)
    for conv in convs[2:4]:
        out = functional.conv2d(out, conv.weight, conv.bias, padding=1).relu()
        out = out.repeat_interleave(2, -1).repeat_interleave(2, -2)
    out = functional.conv2d(out, convs[4].weight, convs[4].bias, padding=1).sigmoid()
    torch.testing.assert_close(network(x), out)


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        value = ConvolutionalAutoencoder()(denoisers.image(1, 3, 10, 9))
    assert float(value.mean()) == pytest.approx(0.507459, abs=1e-5)


def test_cross_entropy_stays_finite_where_the_sigmoid_saturates(denoisers):
    """Under autocast, bfloat16 logits can give predictions of exactly 0 and 1, where a logarithm would be infinite."""
    network = ConvolutionalAutoencoder(features=8).train()
    clean = denoisers.image(2, 3, 16, 16)
    for bias in (-200.0, 200.0):
        torch.nn.init.constant_(network.decoder[-1].bias, bias)
        with torch.autocast("cpu", torch.bfloat16):
            pred = network(clean)
        assert pred.dtype == torch.float32 and float(pred.detach().mean()) == float(bias > 0)
        loss = torch.nn.BCELoss()(pred, clean)
        network.zero_grad()
        loss.backward()
        assert loss.isfinite() and all(p.grad.isfinite().all() for p in network.parameters())


def test_the_sigmoid_is_finer_than_bfloat16(denoisers):
    network = ConvolutionalAutoencoder(features=8)
    torch.nn.init.constant_(network.decoder[-1].bias, 7.0)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        pred = network(denoisers.image(1, 3, 8, 8))
    assert float(pred.max()) < 1 and not torch.equal(pred, pred.bfloat16().float())
