# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Gray images through a three-channel denoiser: by repetition, or folded into an equal one-channel network."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from .residual_unet import ResidualUNet
from .two_stage import TwoStageDenoiser

__all__ = ["GrayscaleDenoiser", "fold_to_grayscale"]


class GrayscaleDenoiser(nn.Module):
    """Runs a multi-channel denoiser on one-channel images: repeat the channel, denoise, average the outputs.

    Args:
        network: denoises ``(B, channels, H, W)``.
        channels: how many channels ``network`` takes.
    """

    def __init__(self, network: nn.Module, channels: int = 3) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: ``(B, 1, H, W)``. Returns: denoised images ``(B, 1, H, W)``."""
        return self.network(x.expand(-1, self.channels, -1, -1)).mean(1, keepdim=True)


def fold_to_grayscale(network: TwoStageDenoiser | ResidualUNet) -> TwoStageDenoiser | ResidualUNet:
    """Build the one-channel network that equals :class:`GrayscaleDenoiser` around ``network``.

    Repeating a channel sums the first convolutions' weights over their inputs, and averaging the outputs averages the
    last convolution's weights. None of these convolutions has a bias, so the folding is exact up to rounding. The noise
    estimate between the stages of the two-stage denoiser keeps its channels.

    Args:
        network: a trained network with a linear output.

    Returns:
        A new network with ``channels=1``; ``network`` is left as it is.

    Raises:
        ValueError: if the network is of another kind, or its output activation is not linear, which averaging does not
            commute with.
    """
    folded = deepcopy(network)
    if isinstance(network, ResidualUNet):
        folded.head = _with_weight(network.head, network.head.weight.sum(1, keepdim=True))
        folded.tail = _with_weight(network.tail, network.tail.weight.mean(0, keepdim=True))
        return folded
    if not isinstance(network, TwoStageDenoiser) or not isinstance(network.rn.activation, nn.Identity):
        raise ValueError("only a known network with a linear output can be folded to one channel.")
    folded.nen.head = _with_weight(network.nen.head, network.nen.head.weight.sum(1, keepdim=True))
    folded.rn.image_head = _with_weight(network.rn.image_head, network.rn.image_head.weight.sum(1, keepdim=True))
    folded.rn.tail = _with_weight(network.rn.tail, network.rn.tail.weight.mean(0, keepdim=True))
    return folded


def _with_weight(layer: nn.Conv2d, weight: torch.Tensor) -> nn.Conv2d:
    """The same convolution with other weights, and as many channels as these have."""
    outputs, inputs, *kernel = weight.shape
    conv = nn.Conv2d(inputs, outputs, kernel, padding=layer.padding, bias=False, device=weight.device)
    conv.weight = nn.Parameter(weight.detach().clone())
    return conv.to(weight.dtype)
