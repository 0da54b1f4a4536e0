# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The two-stage denoiser in the form that runs fastest on CPUs in float32."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from .residual_dense import ResidualDenseBlock, ResidualInResidualDenseBlock
from .two_stage import TwoStageDenoiser

__all__ = ["fast_inference_network"]


def fast_inference_network(network: TwoStageDenoiser) -> TwoStageDenoiser:
    """Build an equal network that moves less memory; ``benchmarks/engines.py`` measures the gain.

    The plain residual dense block copies ``x`` into each of its four concatenations. A convolution is linear: here
    each kernel is cut into the part that reads ``x`` and the part that reads the narrow maps, the two results are
    added, and ``x`` is never copied. The residual factor is folded into the fifth convolution, which a LeakyReLU
    allows (``0.2 * lrelu(z) = lrelu(0.2 * z)``). The order of sums changes, so that results differ by about 1e-6 in
    float32. In bfloat16 the partial sums would be rounded: run the plain network there.

    Args:
        network: a trained network; it is left as it is.

    Returns:
        A copy for inference, in evaluation mode and without gradients. It takes images of any size, and can be
        scripted, traced and exported.
    """
    fast = deepcopy(network).eval().requires_grad_(False)
    for module in fast.modules():
        if isinstance(module, ResidualInResidualDenseBlock):
            module.block1 = _SplitDenseBlock(module.block1)
            module.block2 = _SplitDenseBlock(module.block2)
            module.block3 = _SplitDenseBlock(module.block3)
    return fast.eval().requires_grad_(False)


class _SplitDenseBlock(nn.Module):
    """A :class:`~noisewise.networks.ResidualDenseBlock` for inference, without copies of its input."""

    def __init__(self, block: ResidualDenseBlock) -> None:
        super().__init__()
        features, scale = block.conv1.in_channels, block.residual_scale
        self.x_to_1 = _convolution(block.conv1.weight, block.conv1.bias)
        self.x_to_2, self.maps_to_2 = _split(block.conv2, features)
        self.x_to_3, self.maps_to_3 = _split(block.conv3, features)
        self.x_to_4, self.maps_to_4 = _split(block.conv4, features)
        self.x_to_5, self.maps_to_5 = _split(block.conv5, features, scale)
        self.activation = nn.LeakyReLU(block.activation.negative_slope, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, features, H, W)``. Returns: a tensor of the same shape."""
        x1 = self.activation(self.x_to_1(x))
        x2 = self.activation(self.x_to_2(x).add_(self.maps_to_2(x1)))
        x3 = self.activation(self.x_to_3(x).add_(self.maps_to_3(torch.cat([x1, x2], 1))))
        x4 = self.activation(self.x_to_4(x).add_(self.maps_to_4(torch.cat([x1, x2, x3], 1))))
        x5 = self.activation(self.x_to_5(x).add_(self.maps_to_5(torch.cat([x1, x2, x3, x4], 1))))
        return x5.add_(x)


def _split(convolution: nn.Conv2d, features: int, scale: float = 1.0) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Two convolutions whose sum is ``scale`` times the given one: of the first ``features`` channels and the rest."""
    weight, bias = convolution.weight * scale, convolution.bias * scale
    return _convolution(weight[:, :features], bias), _convolution(weight[:, features:])


def _convolution(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Conv2d:
    outputs, inputs = weight.shape[:2]
    made = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made
