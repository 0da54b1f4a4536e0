# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A bias-free residual U-Net: the efficient blind denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from .padding import reflected_indices

__all__ = ["PlainResidualBlock", "ResidualUNet"]


class PlainResidualBlock(nn.Module):
    """Two 3x3 convolutions without bias around a ReLU, added to the input: ``x + conv(relu(conv(x)))``.

    Args:
        features: number of input and output channels.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        return x + self.conv2(functional.relu(self.conv1(x)))


class ResidualUNet(nn.Module):
    """Bias-free residual U-Net in the manner of DRUNet, blind to the noise level, for any image size.

    ::

        x -- head -+- blocks -+- down -- blocks -- ... -- middle -- ... -- up, blocks -- + -- tail -- + -- out
             |     |          +---------------- additive skips ---------------+          |            |
             |     +---------------------------------------------------------------------+            |
             +----------------------------------------------------------------------------------------+

    Each level has plain residual blocks (:class:`PlainResidualBlock`); a 2x2 convolution of stride 2 leads down, a 2x2
    transposed convolution up. The first level works at full resolution with few channels, which keeps fine detail at
    low noise; most of the work is done at half and quarter resolution, where processors are fast. Without biases,
    normalization or global operations the network is homogeneous, ``f(a x) = a f(x)`` for ``a >= 0``, so it
    generalizes over noise levels (Mohan et al.) and tiles exactly: an image may be cut into tiles that start at
    multiples of :attr:`grid` and overlap by :attr:`receptive_radius`. Training minimizes the mean absolute error of the
    denoised image.

    With the defaults: 3,684,192 parameters, 9.2 G multiply-accumulates at 256 x 256 x 3.

    Deviations from DRUNet: no noise-level map, a thinner first level, fewer blocks. From Mohan et al.: no batch
    normalization.

    Args:
        channels: number of channels of the noisy and of the denoised image.
        widths: number of channels of each level, from full resolution down. The last one is the middle.
        blocks: number of residual blocks of each level and side; the last entry is the number in the middle.

    Raises:
        ValueError: when a count is not a positive integer, or ``widths`` and ``blocks`` differ in length.

    Example:
        >>> import torch
        >>> ResidualUNet(widths=(16, 32), blocks=(1, 1))(torch.zeros(1, 3, 17, 30)).shape
        torch.Size([1, 3, 17, 30])

    References:
        Zhang, Li, Zuo, Zhang, Van Gool and Timofte, Plug-and-Play Image Restoration with Deep Denoiser Prior, IEEE
        Transactions on Pattern Analysis and Machine Intelligence 44(10), 2021.
        Mohan, Kadkhodaie, Simoncelli and Fernandez-Granda, Robust and Interpretable Blind Image Denoising via
        Bias-Free Convolutional Neural Networks, ICLR 2020.
    """

    __jit_unused_properties__ = ("grid", "receptive_radius")

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (16, 48, 96, 192),
        blocks: Sequence[int] = (1, 2, 2, 4),
    ) -> None:
        super().__init__()
        widths, blocks = tuple(widths), tuple(blocks)
        if len(widths) != len(blocks) or not widths:
            raise ValueError(f"widths and blocks must have one entry for each level, got {widths} and {blocks}.")
        for name, counts in (("channels", (channels,)), ("widths", widths), ("blocks", blocks)):
            if not all(isinstance(count, int) and not isinstance(count, bool) and count > 0 for count in counts):
                raise ValueError(f"{name} must be positive integers, got {counts}.")
        self.blocks_per_level = blocks
        sides = list(zip(widths[:-1], blocks[:-1]))
        steps = list(pairwise(widths))
        self.head = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(_chain(width, count) for width, count in sides)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2, bias=False) for fine, coarse in steps)
        self.middle = _chain(widths[-1], blocks[-1])
        # From coarse to fine, in the order of use.
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in reversed(steps)
        )
        self.decoder = nn.ModuleList(_chain(width, count) for width, count in reversed(sides))
        self.tail = nn.Conv2d(widths[0], channels, 3, padding=1, bias=False)
        self._initialize()

    def _initialize(self) -> None:
        """He's initialization; each residual branch starts small, so that the sums keep their scale with depth."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if isinstance(module, PlainResidualBlock):
                nn.init.kaiming_normal_(module.conv1.weight, nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, PlainResidualBlock):
                module.conv2.weight.data.mul_(0.1)
        self.tail.weight.data.mul_(0.1)

    @property
    def grid(self) -> int:
        """The side, in pixels, of the cells that the strided levels share: tiles must start at multiples of it."""
        return 2 ** len(self.down)

    @property
    def receptive_radius(self) -> int:
        """The distance, in pixels, beyond which no input pixel changes an output pixel."""
        levels = len(self.down)
        convolutions = 1 + sum(2 * count * 2**level for level, count in enumerate(self.blocks_per_level[:-1]))
        middle = 2 * self.blocks_per_level[-1] * 2**levels
        return 2 * convolutions + middle + self.grid - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Denoise; sides off the grid are padded by reflection at the right and below, and cropped again.

        Args:
            x: noisy images ``(B, channels, H, W)``.

        Returns:
            Denoised images of the same shape.
        """
        grid = 1 << len(self.down)
        rows, columns = x.shape[-2], x.shape[-1]
        down, across = -rows % grid, -columns % grid
        if down == 0 and across == 0:  # no crop either, so that a traced graph fixes no size
            return x + self._residual(x)
        padded = x.index_select(-2, reflected_indices(rows, rows + down, x.device))
        padded = padded.index_select(-1, reflected_indices(columns, columns + across, x.device))
        return x + self._residual(padded)[..., :rows, :columns]

    def _residual(self, x: torch.Tensor) -> torch.Tensor:
        head = self.head(x)
        out = head
        skips: list[torch.Tensor] = []
        for blocks, down in zip(self.encoder, self.down):
            out = blocks(out)
            skips.append(out)
            out = down(out)
        out = self.middle(out)
        for up, blocks in zip(self.up, self.decoder):
            out = blocks(up(out) + skips.pop())
        return self.tail(out + head)


def _chain(features: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(PlainResidualBlock(features) for _ in range(count)))
