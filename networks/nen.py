# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Stage I: the noise estimation network (NEN)."""

from __future__ import annotations

import torch
from torch import nn

from .activation import output_activation
from .checks import check_positive
from .residual_dense import GatedDenseTrunk

__all__ = ["NoiseEstimationNetwork"]


class NoiseEstimationNetwork(nn.Module):
    """Estimates the signed residual noise ``N_E ~ I_N - I_C`` of a noisy image (stage I).

    1x1 convolution without bias to ``features`` channels, ``num_blocks`` gated RRDB stages, 1x1 convolution without
    bias back. 283,776 parameters and 18.56 G multiply-accumulates at 256 x 256 x 3 with the defaults, as in the
    paper's Table VII. Any image size works; the receptive field is 91 x 91 pixels.

    Deviation from the paper: its ``N_E in [0, 1]`` is not followed, since the residual of zero-mean noise is signed.

    Args:
        in_channels: channels of the noisy image.
        out_channels: channels of the noise estimate; ``in_channels`` when None.
        features: width of the trunk.
        growth: channels that each dense convolution adds.
        num_blocks: gated RRDB stages.
        negative_slope: slope of the LeakyReLU for negative values.
        activation: ``"linear"`` or ``"tanh"`` after the last convolution. The paper does not say; see
            :class:`noisewise.networks.two_stage.TwoStageDenoiser` for the measured choice.

    Raises:
        ValueError: when a count is not a positive integer or ``activation`` is unknown.

    Example:
        >>> import torch
        >>> NoiseEstimationNetwork()(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])

    Reference: Sharif et al., Two-stage Deep Denoising with Self-guided Noise Attention for Multimodal Medical Images.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int | None = None,
        features: int = 32,
        growth: int = 8,
        num_blocks: int = 3,
        negative_slope: float = 0.2,
        activation: str = "linear",
    ) -> None:
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        check_positive(in_channels=in_channels, out_channels=out_channels)
        self.head = nn.Conv2d(in_channels, features, 1, bias=False)
        self.trunk = GatedDenseTrunk(features, growth, num_blocks, negative_slope)
        self.tail = nn.Conv2d(features, out_channels, 1, bias=False)
        self.activation = output_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimate the noise.

        Args:
            x: noisy images ``(B, in_channels, H, W)``, about [0, 1]; values outside are legal.

        Returns:
            The estimated residual ``(B, out_channels, H, W)``, signed, in the unit of ``x``.
        """
        return self.activation(self.tail(self.trunk(self.head(x))))
