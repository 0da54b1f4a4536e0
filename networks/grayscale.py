# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Gray images through a three-channel denoiser: by repetition, or folded into an equal one-channel network."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

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


def fold_to_grayscale(network: TwoStageDenoiser) -> TwoStageDenoiser:
    """Build the one-channel network that equals :class:`GrayscaleDenoiser` around ``network``.

    Repeating a channel sums the first convolutions' weights over their inputs, and averaging the outputs averages the
    last convolution's weights; both are 1x1 without bias, so the folding is exact up to rounding. The noise estimate
    between the stages keeps its channels.

    Args:
        network: a trained :class:`TwoStageDenoiser` with a linear output.

    Returns:
        A new network with ``channels=1``; ``network`` is left as it is.

    Raises:
        ValueError: when the output activation is not linear, which averaging does not commute with.
    """
    if not isinstance(network.rn.activation, nn.Identity):
        raise ValueError("only a network with a linear output can be folded to one channel.")
    folded = deepcopy(network)
    folded.nen.head = _pointwise(folded.nen.head.weight.sum(1, keepdim=True))
    folded.rn.image_head = _pointwise(folded.rn.image_head.weight.sum(1, keepdim=True))
    folded.rn.tail = _pointwise(folded.rn.tail.weight.mean(0, keepdim=True))
    return folded


def _pointwise(weight: torch.Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False, device=weight.device, dtype=weight.dtype)
    conv.weight = nn.Parameter(weight.detach().clone())
    return conv
