# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual blocks and their chain equal the formulas of the paper (eq. 5 and 6), in both forms."""

from __future__ import annotations

import pytest
import torch

from noisewise.networks import GatedDenseTrunk, ResidualDenseBlock, ResidualInResidualDenseBlock


def dense_block(block: ResidualDenseBlock, x: torch.Tensor, slope: float) -> torch.Tensor:
    """Equation 6, from the weights alone."""
    maps = [x]
    for conv in (block.conv1, block.conv2, block.conv3, block.conv4, block.conv5):
        out = torch.nn.functional.conv2d(torch.cat(maps, 1), conv.weight, conv.bias, padding=1)
        maps.append(torch.where(out > 0, out, slope * out))
    return x + 0.2 * maps[-1]


def block_in_block(block: ResidualInResidualDenseBlock, x: torch.Tensor, slope: float) -> torch.Tensor:
    """Equation 5: three blocks in a row, scaled once more, beside the input."""
    out = x
    for inner in (block.block1, block.block2, block.block3):
        out = dense_block(inner, out, slope)
    return x + 0.2 * out


@pytest.fixture(params=[True, False], ids=["stacked", "plain"])
def make(request):
    """Networks in double precision with weights so large that every term shows."""

    def made(network: torch.nn.Module) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(0)
        network = network.double()
        for parameter in network.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for module in network.modules():
            if isinstance(module, ResidualDenseBlock):
                module.stacked = request.param
        return network

    return made


X = torch.randn(2, 4, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_residual_dense_block(make):
    block = make(ResidualDenseBlock(4, 3))
    torch.testing.assert_close(block(X), dense_block(block, X, 0.2))


@pytest.mark.parametrize("slope", [0.2, 0.05])
def test_residual_in_residual_dense_block(make, slope):
    block = make(ResidualInResidualDenseBlock(4, 3, slope))
    torch.testing.assert_close(block(X), block_in_block(block, X, slope))


def test_gated_dense_trunk(make):
    trunk = make(GatedDenseTrunk(4, 3, num_blocks=2))
    expected = X
    for block, gate in zip(trunk.blocks, trunk.gates):
        gated = torch.einsum("oi,bihw->bohw", gate.weight[..., 0, 0], expected)
        expected = block_in_block(block, expected, 0.2) + gated
    torch.testing.assert_close(trunk(X), expected)
