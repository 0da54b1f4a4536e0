# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""DAE, a compared method."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive
from .padding import apply_padded

__all__ = ["DAE"]


class DAE(nn.Module):
    """El-Shafai's denoising autoencoder (DAE), **re-interpreted**: it predicts the image itself, in (0, 1).

    ::

        conv 3x3, batch norm, LeakyReLU, max-pool 2 | twice
        nearest up 2, conv 3x3, batch norm, LeakyReLU | twice | conv 3x3, sigmoid

    114,563 parameters with the defaults. Trained with the mean squared error, which a Gaussian likelihood of fixed
    variance amounts to. Sides that cannot be halved twice are padded by reflection and cropped again, so any image
    size works.

    Re-interpreted: only the abstract was at hand, so layers, width and slope are this package's reading. No conclusion
    should rest on this method's results.

    Args:
        channels: number of input and output channels.
        features: width of the hidden layers.
        negative_slope: slope of the LeakyReLU for negative values.

    Raises:
        ValueError: when a count is not a positive integer.

    Reference: El-Shafai et al., Computers, Materials & Continua 70, 2022.
    """

    def __init__(self, channels: int = 3, features: int = 64, negative_slope: float = 0.2) -> None:
        super().__init__()
        check_positive(channels=channels, features=features)

        def block(inputs: int) -> tuple[nn.Module, ...]:
            conv = nn.Conv2d(inputs, features, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, negative_slope, nonlinearity="leaky_relu")
            return conv, nn.BatchNorm2d(features), nn.LeakyReLU(negative_slope)

        self.encoder = nn.Sequential(*block(channels), nn.MaxPool2d(2), *block(features), nn.MaxPool2d(2))
        self.decoder = nn.Sequential(
            *(nn.Upsample(scale_factor=2, mode="nearest"), *block(features)),
            *(nn.Upsample(scale_factor=2, mode="nearest"), *block(features)),
            nn.Conv2d(features, channels, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape, in (0, 1)."""
        logits = apply_padded(lambda padded: self.decoder(self.encoder(padded)), x, multiple=4)
        return torch.sigmoid(logits.to(x.dtype))
