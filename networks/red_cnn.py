# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""RED-CNN, a compared method."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .checks import check_positive
from .padding import apply_padded

__all__ = ["REDCNN"]

LAYERS, KERNEL = 5, 5


class REDCNN(nn.Module):
    """The residual encoder-decoder network (RED-CNN) for low-dose CT: it predicts the image itself, not below 0.

    ::

        x --+- conv1 - conv2 -+- conv3 - conv4 -+- conv5 - tconv1 - + - tconv2 - tconv3 - + - tconv4 - tconv5 - + - out
            |                 |                 +-------------------+                     |                     |
            |                 +-----------------------------------------------------------+                     |
            +---------------------------------------------------------------------------------------------------+

    Five 5x5 convolutions without padding and five transposed ones, a ReLU after each, after the addition where there is
    one. 1,858,467 parameters (1,848,865 for one channel) and 108.9 G multiply-accumulates at 256 x 256 x 3 with the
    defaults. Kernels are initialized as published, from a normal distribution of standard deviation 0.01, and biases
    with 0. Trained with the mean squared error.

    Deviation: images smaller than 21 pixels are padded by reflection and cropped afterwards.

    Args:
        channels: number of input and output channels.
        features: width of the hidden layers.

    Raises:
        ValueError: when a count is not a positive integer.

    Example:
        >>> import torch
        >>> REDCNN(features=8)(torch.zeros(1, 3, 24, 30)).shape
        torch.Size([1, 3, 24, 30])

    Reference: Chen, Zhang, Kalra, Lin, Chen, Liao, Zhou and Wang, Low-Dose CT With a Residual Encoder-Decoder
    Convolutional Neural Network, IEEE Transactions on Medical Imaging 36(12), 2017.
    """

    def __init__(self, channels: int = 3, features: int = 96) -> None:
        super().__init__()
        check_positive(channels=channels, features=features)
        widths = [channels] + (LAYERS - 1) * [features]
        self.convs = nn.ModuleList(nn.Conv2d(width, features, KERNEL) for width in widths)
        self.tconvs = nn.ModuleList(nn.ConvTranspose2d(features, width, KERNEL) for width in reversed(widths))
        for layer in (*self.convs, *self.tconvs):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape, 0 or above."""
        return apply_padded(self._denoise, x, minimum=LAYERS * (KERNEL - 1) + 1)

    def _denoise(self, x: torch.Tensor) -> torch.Tensor:
        skips = [x]
        out = x
        for index, conv in enumerate(self.convs):
            out = functional.relu(conv(out))
            if index in (1, 3):
                skips.append(out)
        for index, tconv in enumerate(self.tconvs):
            out = tconv(out)
            if index in (0, 2, 4):
                out = out + skips.pop()
            out = functional.relu(out)
        return out
