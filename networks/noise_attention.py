# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The self-guided noise attention block (NOB)."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive

__all__ = ["NoiseAttentionBlock"]


class NoiseAttentionBlock(nn.Module):
    """Weights image features, pixel by pixel, by the estimated noise.

    ::

        noise features -- conv 3x3 --+
                                     +-- concatenate -- [channel mean; channel max] -- conv 7x7 -- sigmoid --+
        image features -- conv 3x3 --+                                                                       |
              |                                                                                              |
              +---------------------------------------------------------------------------------- * ---------+-- out

    Concatenation is the paper's eq. 7, pooling and sigmoid eq. 8, the product eq. 9. The 3x3 convolutions have a
    bias, the 7x7 one has none: only so does the block match the published parameter count.

    Args:
        features: channels of both inputs and of the output.

    Raises:
        ValueError: when ``features`` is not a positive integer.
    """

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        check_positive(features=features)
        self.noise_conv = nn.Conv2d(features, features, 3, padding=1)
        self.image_conv = nn.Conv2d(features, features, 3, padding=1)
        self.attention_conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def attention_map(self, image_features: torch.Tensor, noise_features: torch.Tensor) -> torch.Tensor:
        """The attention itself: ``(B, 1, H, W)``, values in (0, 1)."""
        joined = torch.cat([self.noise_conv(noise_features), self.image_conv(image_features)], 1)
        pooled = torch.cat([joined.mean(1, keepdim=True), joined.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.attention_conv(pooled))

    def forward(self, image_features: torch.Tensor, noise_features: torch.Tensor) -> torch.Tensor:
        """Apply the attention.

        Args:
            image_features: the paper's I_T, ``(B, features, H, W)``.
            noise_features: the paper's N_T, ``(B, features, H, W)``.

        Returns:
            ``attention * image_features``, ``(B, features, H, W)``.
        """
        return self.attention_map(image_features, noise_features) * image_features
