# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The convolutional autoencoder (CAE), a compared method."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive
from .padding import apply_padded

__all__ = ["ConvolutionalAutoencoder"]


class ConvolutionalAutoencoder(nn.Module):
    """Gondara's convolutional denoising autoencoder: it predicts the image itself, in (0, 1).

    ::

        conv 3x3, ReLU, max-pool 2 | twice | conv 3x3, ReLU, nearest up 2 | twice | conv 3x3, sigmoid

    No normalization and no skips. 114,307 parameters and 1.59 G multiply-accumulates at 256 x 256 x 3 with the
    defaults. Weights are initialized as in Keras, in which the method was published (Glorot uniform, biases 0). Trained
    with binary cross-entropy: the sigmoid is computed in the input's precision, also under autocast, so that it comes
    close to 0 and 1.

    Deviation: sides that cannot be halved twice are padded by reflection and cropped afterwards, so any image size
    works.

    Args:
        channels: number of input and output channels.
        features: width of the hidden layers.

    Raises:
        ValueError: when a count is not a positive integer.

    Example:
        >>> import torch
        >>> ConvolutionalAutoencoder()(torch.zeros(1, 3, 17, 30)).shape
        torch.Size([1, 3, 17, 30])

    Reference: Gondara, Medical Image Denoising Using Convolutional Denoising Autoencoders, ICDM Workshops 2016,
    arXiv:1608.04667.
    """

    def __init__(self, channels: int = 3, features: int = 64) -> None:
        super().__init__()
        check_positive(channels=channels, features=features)
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, features, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(features, features, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.decoder = nn.Sequential(
            *(nn.Conv2d(features, features, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2, mode="nearest")),
            *(nn.Conv2d(features, features, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2, mode="nearest")),
            nn.Conv2d(features, channels, 3, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape, in (0, 1)."""
        logits = apply_padded(lambda padded: self.decoder(self.encoder(padded)), x, multiple=4)
        return torch.sigmoid(logits.to(x.dtype))
