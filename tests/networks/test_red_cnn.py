# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""RED-CNN: its published counts, layers, skips and initial weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import REDCNN


# channels, parameters
@pytest.mark.parametrize(("channels", "parameters"), [(3, 1_858_467), (1, 1_848_865)])
def test_parameter_count(denoisers, channels, parameters):
    assert denoisers.count(REDCNN(channels)) == parameters


def test_multiply_accumulates(denoisers):
    # Without padding the features shrink by four pixels per convolution; the second half mirrors the first.
    half = 25 * (252**2 * 3 * 96 + (248**2 + 244**2 + 240**2 + 236**2) * 96**2)
    assert denoisers.macs(REDCNN()) == 2 * half
    assert f"{2 * half / 1e9:.1f}" == "108.9"


def test_behaves_as_a_denoiser(denoisers):
    def make(channels: int = 3) -> REDCNN:
        network = REDCNN(channels, features=6)
        # With the published initial weights, gradients underflow at this width.
        for layer in (*network.convs, *network.tconvs):
            torch.nn.init.kaiming_normal_(layer.weight)
        return network

    denoisers.check(make)


def test_layers_written_out(denoisers):
    torch.manual_seed(0)
    network = REDCNN(features=4)
    for layer in (*network.convs, *network.tconvs):
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias, std=0.1)
    x = denoisers.image(2, 3, 22, 25)
    c1, c2, c3, c4, c5 = network.convs
    t1, t2, t3, t4, t5 = network.tconvs
    second = c2(c1(x).relu()).relu()
    fourth = c4(c3(second).relu()).relu()
    out = (t1(c5(fourth).relu()) + fourth).relu()
    out = (t3(t2(out).relu()) + second).relu()
    out = (t5(t4(out).relu()) + x).relu()
    torch.testing.assert_close(network(x), out)
    assert c1.padding == (0, 0) and c1.kernel_size == t5.kernel_size == (5, 5)


def test_small_images_are_padded_by_reflection(denoisers):
    torch.manual_seed(0)
    network = REDCNN(features=4)
    for layer in (*network.convs, *network.tconvs):
        torch.nn.init.normal_(layer.weight, std=0.1)
    x = denoisers.image(1, 3, 15, 30)
    torch.testing.assert_close(network(x), network(functional.pad(x, (0, 0, 0, 6), mode="reflect"))[..., :15, :])


def test_kernels_start_as_published():
    torch.manual_seed(0)
    for layer in (*REDCNN().convs, *REDCNN().tconvs):
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
        assert float(layer.bias.abs().sum()) == 0


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    network = REDCNN()
    x = denoisers.image(1, 3, 24, 22)
    with torch.no_grad():
        assert float((network(x) - x).mean()) == pytest.approx(-5.840149e-04, rel=1e-3)
