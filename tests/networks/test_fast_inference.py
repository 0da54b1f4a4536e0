# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from noisewise.networks import ResidualDenseBlock, TwoStageDenoiser, fast_inference_network, fold_to_grayscale

SMALL = {"features": 6, "growth": 3, "num_blocks": 1}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL)
    for module in network.modules():  # biases that are not 0, so that a wrongly scaled one is noticed
        if isinstance(module, ResidualDenseBlock):
            module.conv5.bias.data.normal_()
    return network


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 7, 13), (1, 3, 32, 20)])
def test_equals_the_network_and_leaves_it_as_it_is(network, shape):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = fast_inference_network(network)
    x = torch.rand(shape)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), network(x), rtol=0, atol=1e-6)
    assert network.training and not fast.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(isinstance(module, ResidualDenseBlock) for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_is_the_same_function_in_double_precision(network):
    network = network.double()
    x = torch.rand(1, 3, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fast_inference_network(network)(x), network(x), rtol=0, atol=1e-13)


def test_input_is_not_overwritten(network):
    x = torch.rand(1, 3, 8, 8)
    before = x.clone()
    fast_inference_network(network)(x)
    assert torch.equal(x, before)


def test_gray_network_traced_and_scripted(network):
    fast = fast_inference_network(fold_to_grayscale(network))
    x = torch.rand(2, 1, 11, 6)
    with torch.no_grad():
        traced = torch.jit.trace(fast, torch.rand(1, 1, 8, 8), check_trace=False)
        for captured in (traced, torch.jit.script(fast)):
            torch.testing.assert_close(captured(x), fast(x))


def test_block_of_other_width_and_slope():
    torch.manual_seed(0)
    network = TwoStageDenoiser(features=5, growth=2, num_blocks=2, negative_slope=0.05, noise_attention=False)
    x = torch.rand(1, 3, 6, 10)
    with torch.no_grad():
        torch.testing.assert_close(fast_inference_network(network)(x), network(x), rtol=0, atol=1e-6)
