# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.networks.residual_dense import ResidualDenseBlock


def pair(**arguments):
    torch.manual_seed(0)
    stacked = ResidualDenseBlock(**arguments).double()
    plain = copy.deepcopy(stacked)
    plain.stacked = False
    return stacked, plain


def results(block, x):
    x = x.clone().requires_grad_()
    out = block(x)
    out.backward(torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view_as(out))
    return [out.detach(), x.grad, *(parameter.grad for parameter in block.parameters())]


@pytest.mark.parametrize("arguments", [{}, {"features": 5, "growth": 3}, {"features": 4, "growth": 1}])
@pytest.mark.parametrize("shape", [(1, 1), (7, 4), (16, 16)])
def test_equals_the_plain_form_and_all_its_gradients(arguments, shape):
    stacked, plain = pair(**arguments)
    x = torch.randn(2, arguments.get("features", 32), *shape, dtype=torch.float64)
    for ours, theirs in zip(results(stacked, x), results(plain, x)):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_gradients_equal_finite_differences():
    stacked, _ = pair(features=3, growth=2)
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(stacked, (x,))


def test_is_used_on_the_cpu_and_can_be_switched_off():
    stacked, plain = pair(features=3, growth=2)
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert "StackedDenseBlock" in type(stacked(x).grad_fn).__name__
    assert "StackedDenseBlock" not in type(plain(x).grad_fn).__name__


def test_second_derivatives_are_refused_by_the_stacked_form_and_right_in_the_plain_one():
    stacked, plain = pair(features=3, growth=2)
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(plain(x).square().sum(), x, create_graph=True)
    first.sum().backward()
    (first,) = torch.autograd.grad(stacked(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_autocast_gives_bfloat16_near_float32_and_gradients_in_the_parameters_dtype():
    torch.manual_seed(0)
    block = ResidualDenseBlock()
    x = torch.randn(1, 32, 12, 12)
    expected = results(block, x)
    block.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = block(x)
    assert out.dtype == torch.bfloat16
    out.float().backward(torch.sin(torch.arange(out.numel(), dtype=torch.float32)).view_as(out))
    torch.testing.assert_close(out.float(), expected[0], rtol=0.02, atol=0.02)
    assert block.conv1.weight.grad.dtype == torch.float32
    difference = (block.conv5.weight.grad - expected[-2]).norm() / expected[-2].norm()
    assert difference < 0.05


def test_frozen_weights_and_inputs_without_gradient():
    stacked, plain = pair(features=3, growth=2)
    stacked.conv2.requires_grad_(False)
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    stacked(x).sum().backward()
    plain(x).sum().backward()
    assert stacked.conv2.weight.grad is None
    torch.testing.assert_close(stacked.conv1.weight.grad, plain.conv1.weight.grad)


def test_the_whole_network_gives_the_same_in_both_forms():
    torch.manual_seed(0)
    network = TwoStageDenoiser()
    x = torch.rand(2, 3, 20, 17)
    with torch.inference_mode():
        stacked = network(x)
        for module in network.modules():
            if isinstance(module, ResidualDenseBlock):
                module.stacked = False
        torch.testing.assert_close(network(x), stacked, rtol=0, atol=2e-6)
