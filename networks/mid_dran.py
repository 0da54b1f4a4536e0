# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MID-DRAN, a compared method, and its dynamic convolution and noise gate."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .checks import check_positive
from .padding import reflect_pad

__all__ = ["MIDDRAN", "DynamicConvolution", "NoiseGate"]


class DynamicConvolution(nn.Module):
    """A 3x3 convolution whose kernel is mixed from ``experts`` kernels, for each sample anew.

    ::

        x -- global average -- conv 1x1 -- ReLU -- conv 1x1 -- softmax(. / temperature) -- weights of the experts

    The mixture is a kernel again, so a sample costs one convolution, whatever the number of experts: the kernels of a
    batch are applied as one grouped convolution. With the defaults 148,800 parameters.

    Deviation from the public code, which leaves the experts' biases uninitialized: they start at 0.

    Args:
        features: number of input and output channels.
        experts: number of kernels.
        temperature: the softmax's temperature; a high one makes the mixture even.

    Raises:
        ValueError: when a count is not a positive integer.

    Reference: Chen, Dai, Liu, Chen, Yuan and Liu, Dynamic Convolution: Attention over Convolution Kernels, CVPR 2020.
    """

    def __init__(self, features: int = 64, experts: int = 4, temperature: float = 34.0) -> None:
        super().__init__()
        check_positive(features=features, experts=experts)
        self.temperature = float(temperature)
        self.squeeze = nn.Conv2d(features, max(1, features // 4), 1, bias=False)
        self.excite = nn.Conv2d(max(1, features // 4), experts, 1, bias=False)
        self.experts = experts
        # Four dimensions, so that it can be stored in torch.channels_last like other kernels.
        self.weight = nn.Parameter(torch.empty(experts * features, features, 3, 3))
        self.bias = nn.Parameter(torch.zeros(experts, features))
        nn.init.kaiming_uniform_(self.weight)
        for conv in (self.squeeze, self.excite):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: the experts' weights ``(B, experts)``, each row's sum 1."""
        logits = self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True)))).flatten(1)
        return torch.softmax(logits / self.temperature, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        batch, features, rows, columns = x.shape
        attention = self.attention(x)
        kernels = torch.mm(attention, self.weight.reshape(self.experts, -1)).view(batch * features, features, 3, 3)
        biases = torch.mm(attention, self.bias).view(-1)
        # The samples become channels side by side, which needs contiguous planes, whatever the input's memory format.
        grouped = x.reshape(1, batch * features, rows, columns)
        out = functional.conv2d(grouped, kernels, biases, padding=1, groups=batch).view(batch, features, rows, columns)
        last = x.is_contiguous(memory_format=torch.channels_last)
        return out.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


class NoiseGate(nn.Module):
    """``LeakyReLU(conv(x) * sigmoid(mask_conv(x)))``, both convolutions 3x3 on the image padded by reflection.

    Args:
        features: number of input and output channels.
    """

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.conv = nn.Conv2d(features, features, 3)
        self.mask_conv = nn.Conv2d(features, features, 3)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        padded = reflect_pad(x, 1, 1, 1, 1)
        return self.activation(self.conv(padded) * torch.sigmoid(self.mask_conv(padded)))


class MIDDRAN(nn.Module):
    """The dynamic residual attention network (MID-DRAN): it predicts the noise, in (-1, 1), which is subtracted.

    A 3x3 convolution and ReLU; three times ``x = block(x) + gate_i(x)`` with **one and the same** block of five
    [:class:`DynamicConvolution`, batch norm, ReLU] and a separate :class:`NoiseGate` in each round; a 3x3 convolution
    and tanh. The two outer convolutions have no bias. 969,664 parameters and 51.0 G multiply-accumulates at
    256 x 256 x 3 with the defaults. Trained with the mean absolute error of the noise, which is that of the image.

    The public code of the method builds three blocks and applies the first one three times: it stores 2,458,944
    parameters and trains 969,664 of them. Here the block is stored once. Its batch normalization sees the features of
    all three rounds, and keeps running statistics of them together, as that code does.

    Args:
        channels: number of input and output channels.
        features: width of the hidden layers.
        rounds: how many times the block is applied.
        depth: number of dynamic convolutions in the block.
        experts: number of kernels in each dynamic convolution.
        temperature: the temperature of the mixture's softmax.

    Raises:
        ValueError: when a count is not a positive integer.

    Example:
        >>> import torch
        >>> MIDDRAN()(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])

    Reference: Sharif, Naqvi and Biswas, Learning Medical Image Denoising with Deep Dynamic Residual Attention Network,
    Mathematics 8(12), 2020.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 64,
        rounds: int = 3,
        depth: int = 5,
        experts: int = 4,
        temperature: float = 34.0,
    ) -> None:
        super().__init__()
        check_positive(channels=channels, features=features, rounds=rounds, depth=depth)
        self.head = nn.Conv2d(channels, features, 3, padding=1, bias=False)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [DynamicConvolution(features, experts, temperature), nn.BatchNorm2d(features), nn.ReLU()]
        self.block = nn.Sequential(*layers)
        self.gates = nn.ModuleList(NoiseGate(features) for _ in range(rounds))
        self.tail = nn.Conv2d(features, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape."""
        features = functional.relu(self.head(x))
        for gate in self.gates:
            features = self.block(features) + gate(features)
        return x - torch.tanh(self.tail(features))
