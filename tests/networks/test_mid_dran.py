# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MID-DRAN: its published counts, its dynamic convolution against a plain loop, its shared block."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import MIDDRAN, DynamicConvolution, NoiseGate

SMALL = {"features": 8, "depth": 2, "experts": 3}


def test_parameter_count(denoisers):
    network = MIDDRAN()
    assert denoisers.count(network) == 969_664
    # The public code stores the block three times.
    assert denoisers.count(network) + 2 * denoisers.count(network.block) == 2_458_944
    assert denoisers.count(DynamicConvolution()) == 4 * (9 * 64**2 + 64) + 64 * 16 + 16 * 4


def test_multiply_accumulates(denoisers):
    pixels = 256**2
    # One kernel per sample, whatever the number of experts: 15 in the shared block, two in each gate.
    dynamic = 15 * pixels * 9 * 64**2
    rest = pixels * 9 * (2 * 3 * 64 + 6 * 64**2) + 15 * (64 * 16 + 16 * 4)
    assert denoisers.macs(MIDDRAN()) == rest
    assert f"{(dynamic + rest) / 1e9:.2f}" == "50.96"
    shapes = []

    class Recorder(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is functional.conv2d:
                shapes.append((args[0].shape, args[1].shape))
            return func(*args, **(kwargs or {}))

    with Recorder(), torch.no_grad():
        DynamicConvolution().to("meta")(torch.zeros(5, 64, 256, 256, device="meta"))
    (image, kernels) = shapes[-1]
    assert image == (1, 5 * 64, 256, 256) and kernels == (5 * 64, 64, 3, 3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dynamic_convolution_equals_a_loop_over_samples_and_experts(denoisers, layout):
    torch.manual_seed(0)
    module = DynamicConvolution(features=8, experts=3, temperature=0.5).double().to(memory_format=layout)
    torch.nn.init.normal_(module.bias)
    x = denoisers.image(4, 8, 6, 5).double().contiguous(memory_format=layout).requires_grad_()
    weights = module.attention(x)
    torch.testing.assert_close(weights.sum(1), torch.ones(4, dtype=torch.float64))
    assert float(weights.std(0).min().detach()) > 0  # each sample has its own weights
    outputs = []
    for sample, mixture in zip(x, weights):
        parts = [
            share * functional.conv2d(sample[None], kernel, bias, padding=1)
            for share, kernel, bias in zip(mixture, module.weight.unflatten(0, (3, 8)), module.bias)
        ]
        outputs.append(sum(parts))
    expected = torch.cat(outputs)
    result = module(x)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=layout)
    variables = [x, *module.parameters()]
    target = torch.randn_like(expected)
    for got, want in zip(
        torch.autograd.grad((result * target).sum(), variables, retain_graph=True),
        torch.autograd.grad((expected * target).sum(), variables),
    ):
        torch.testing.assert_close(got, want)


def test_temperature_evens_the_mixture(denoisers):
    torch.manual_seed(0)
    x = denoisers.image(2, 8, 6, 6)
    sharp, even = DynamicConvolution(8, 4, 0.1), DynamicConvolution(8, 4, 34.0)
    even.load_state_dict(sharp.state_dict())
    logits = sharp.attention(x).log() * 0.1
    torch.testing.assert_close(even.attention(x), torch.softmax(logits / 34, 1))


def test_gate_equals_its_formula(denoisers):
    torch.manual_seed(0)
    gate = NoiseGate(4)
    x = denoisers.image(2, 4, 6, 7)
    padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    product = gate.conv(padded) * gate.mask_conv(padded).sigmoid()
    torch.testing.assert_close(gate(x), torch.where(product > 0, product, 0.2 * product))


def test_the_block_is_shared(denoisers):
    torch.manual_seed(0)
    network = MIDDRAN(**SMALL).eval()
    x = denoisers.image(2, 3, 9, 8)
    features = network.head(x).relu()
    for gate in network.gates:
        features = network.block(features) + gate(features)
    torch.testing.assert_close(network(x), x - network.tail(features).tanh())
    seen = []
    network.block.register_forward_hook(lambda *_: seen.append(1))
    network(x)
    assert len(seen) == 3 and len(network.gates) == 3


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: MIDDRAN(channels, features=32, depth=2))  # narrower ones have dead units


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(MIDDRAN().eval()(denoisers.image(2, 3, 10, 9)).mean()) == pytest.approx(0.494042, rel=1e-4)
