# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A step of the optimizer, with plain gradient descent, where the size of the step shows the size of the gradient."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from noisewise.pipelines.training.optimization import DenoisingOptimization


# limit of the gradient's norm, norm of the step
@pytest.mark.parametrize(("clip", "step"), [(None, 5.0), (0.5, 0.5), (10.0, 5.0)])
def test_gradients_are_clipped_before_the_step(clip, step):
    network = torch.nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    optimization = DenoisingOptimization()
    optimization.state = SimpleNamespace(iteration=1)
    optimization.set_optimization(clip, channels_last=False, amp_dtype=None)
    loss = network(torch.tensor([[3.0, -4.0]])).sum()
    optimization.take_step(network, torch.optim.SGD(network.parameters(), lr=1.0), loss)
    moved = network.weight.detach() - before
    torch.testing.assert_close(moved, torch.tensor([[-0.6, 0.8]]) * step, rtol=1e-4, atol=0)


def test_gradients_of_an_earlier_step_do_not_count():
    network = torch.nn.Linear(1, 1, bias=False)
    optimization = DenoisingOptimization()
    optimization.state = SimpleNamespace(iteration=1)
    optimization.set_optimization(None, channels_last=False, amp_dtype=None)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    before = network.weight.item()
    for _ in range(2):
        optimization.take_step(network, optimizer, network(torch.tensor([[2.0]])).sum())
    assert network.weight.item() == pytest.approx(before - 4.0)
