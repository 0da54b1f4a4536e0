# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MMD, a compared method."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive

__all__ = ["MMD"]


class MMD(nn.Module):
    """El-Shafai's residual network for several modalities (MMD), **re-interpreted**.

    ::

        x -- [conv 3x3, batch norm, ReLU] x depth -- conv 3x3 -- x - out

    410,499 parameters with the defaults. It predicts the noise, which is subtracted, and is trained with the mean
    squared error on Gaussian and speckle noise together.

    Re-interpreted: only the abstract was at hand, so layers and width are this package's reading. No conclusion should
    rest on this method's results.

    Args:
        channels: number of input and output channels.
        depth: how often convolution, normalization and ReLU are repeated.
        features: width of the hidden layers.

    Raises:
        ValueError: when a count is not a positive integer.

    Reference: El-Shafai et al., Computers, Materials & Continua 73, 2022.
    """

    def __init__(self, channels: int = 3, depth: int = 12, features: int = 64) -> None:
        super().__init__()
        check_positive(channels=channels, depth=depth, features=features)
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [
                nn.Conv2d(features if index else channels, features, 3, padding=1, bias=False),
                nn.BatchNorm2d(features),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(features, channels, 3, padding=1))
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape."""
        return x - self.layers(x)
