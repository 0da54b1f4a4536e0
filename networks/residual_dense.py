# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Residual dense blocks, and the gated chain of them that both stages of the denoiser share."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive
from .stacked_dense import stacked_dense_block

__all__ = ["ResidualDenseBlock", "ResidualInResidualDenseBlock", "GatedDenseTrunk"]

RESIDUAL_SCALE = 0.2


def _is_captured() -> bool:
    """Whether the forward pass is being captured as a graph, where the autograd function would be in the way."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


class ResidualDenseBlock(nn.Module):
    """Five densely connected 3x3 convolutions with a scaled residual connection (the paper's eq. 6).

    ::

        x --+-- conv1 --+-- conv2 --+-- conv3 --+-- conv4 --+-- conv5 -- * 0.2 -- + -- out
            |           |           |           |           |                     |
            +-----------+-----------+-----------+-----------+  (concatenation)    |
            +---------------------------------------------------------------------+

    Every convolution is followed by a LeakyReLU, the fifth one included. The first four add ``growth`` channels
    each, the fifth returns to ``features``. With the defaults the block has 31,168 parameters.

    On CPUs the block is evaluated by :func:`~noisewise.networks.stacked_dense.stacked_dense_block`: the same sums,
    about a quarter faster in training. Scripting, tracing and exporting take the plain form, and so do GPUs.

    Args:
        features: number of input and output channels.
        growth: channels that each of the first four convolutions adds.
        negative_slope: slope of the LeakyReLU for negative values. The paper does not give it; 0.2 is the usual
            choice for this block.

    Attributes:
        stacked: set it to False to always use the plain form, for second derivatives for example.

    Raises:
        ValueError: when ``features`` or ``growth`` is not a positive integer.
    """

    def __init__(self, features: int = 32, growth: int = 8, negative_slope: float = 0.2) -> None:
        super().__init__()
        check_positive(features=features, growth=growth)
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)
        self.activation = nn.LeakyReLU(negative_slope)
        self.residual_scale = RESIDUAL_SCALE
        self.stacked = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript's compiler needs this test on its own
            if self.stacked and x.device.type == "cpu" and not _is_captured():
                convolutions = [self.conv1, self.conv2, self.conv3, self.conv4, self.conv5]
                return stacked_dense_block(
                    x,
                    [convolution.weight for convolution in convolutions],
                    [convolution.bias for convolution in convolutions],
                    self.activation.negative_slope,
                    self.residual_scale,
                )
        x1 = self.activation(self.conv1(x))
        x2 = self.activation(self.conv2(torch.cat([x, x1], 1)))
        x3 = self.activation(self.conv3(torch.cat([x, x1, x2], 1)))
        x4 = self.activation(self.conv4(torch.cat([x, x1, x2, x3], 1)))
        x5 = self.activation(self.conv5(torch.cat([x, x1, x2, x3, x4], 1)))
        return x + self.residual_scale * x5


class ResidualInResidualDenseBlock(nn.Module):
    """Three residual dense blocks in a row inside one more scaled residual connection (RRDB, the paper's eq. 5).

    Returns ``x + 0.2 * block3(block2(block1(x)))``.

    Args:
        features: number of input and output channels.
        growth: channels that each dense convolution adds.
        negative_slope: slope of the LeakyReLU for negative values.

    See also: :class:`ResidualDenseBlock`.
    """

    def __init__(self, features: int = 32, growth: int = 8, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.block1 = ResidualDenseBlock(features, growth, negative_slope)
        self.block2 = ResidualDenseBlock(features, growth, negative_slope)
        self.block3 = ResidualDenseBlock(features, growth, negative_slope)
        self.residual_scale = RESIDUAL_SCALE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        return torch.add(x, self.block3(self.block2(self.block1(x))), alpha=self.residual_scale)


class GatedDenseTrunk(nn.Module):
    """The chain ``x = RRDB_i(x) + gate_i(x)`` that the noise estimation and the reconstruction network share.

    Each gate is a 1x1 convolution without bias: the paper's "noise gate" for short-distance residual features.

    Args:
        features: number of input and output channels.
        growth: channels that each dense convolution adds.
        num_blocks: how many gated RRDB stages; 3 in the paper.
        negative_slope: slope of the LeakyReLU for negative values.

    Raises:
        ValueError: when a count is not a positive integer.
    """

    def __init__(
        self, features: int = 32, growth: int = 8, num_blocks: int = 3, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        check_positive(features=features, growth=growth, num_blocks=num_blocks)
        self.blocks = nn.ModuleList(
            ResidualInResidualDenseBlock(features, growth, negative_slope) for _ in range(num_blocks)
        )
        self.gates = nn.ModuleList(nn.Conv2d(features, features, 1, bias=False) for _ in range(num_blocks))

    @property
    def receptive_radius(self) -> int:
        """The distance in pixels at which an input still affects an output: one for each 3x3 convolution in a row."""
        return 15 * len(self.blocks)  # three blocks of five

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        for block, gate in zip(self.blocks, self.gates):
            x = block(x) + gate(x)
        return x
