# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The two-stage denoiser: noise estimation, then reconstruction guided by the estimate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .checks import check_positive
from .nen import NoiseEstimationNetwork
from .rn import ReconstructionNetwork

__all__ = ["TwoStageDenoiser", "TwoStageWithoutAttention"]


class TwoStageDenoiser(nn.Module):
    """The paper's two-stage denoiser ``D(I_N) = RN(I_N, NEN(I_N))``.

    586,242 parameters and 38.34 G multiply-accumulates at 256 x 256 x 3 with the defaults, as in the paper's Table VII.
    Any image size works, even 1 x 1: the network is fully convolutional. The receptive field is 189 x 189 pixels.

    The two stages are trained with separate objectives (:class:`noisewise.pipelines.training.TwoStageTrainer`):
    :attr:`nen` and :attr:`rn` are ordinary modules that can be optimized, wrapped or frozen one by one.

    Args:
        channels: number of input and output channels.
        noise_channels: channels of the noise estimate; ``channels`` when None.
        features: width of both trunks.
        growth: channels that each dense convolution adds.
        num_blocks: gated RRDB stages in each network.
        negative_slope: slope of the LeakyReLU for negative values.
        noise_attention: False gives the ablation without the attention block ("TWN", 567,648 parameters).
        noise_activation: the activation after the noise estimation network, ``"linear"`` or ``"tanh"``.
        output_activation: the activation after the reconstruction network, ``"linear"``, ``"sigmoid"`` or ``"tanh"``.
        global_skip: whether the reconstruction network adds the noisy image to its output.

    Raises:
        ValueError: when a count is not a positive integer or an activation is unknown.

    Example:
        >>> import torch
        >>> TwoStageDenoiser()(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])

    Reference: Sharif et al., Two-stage Deep Denoising with Self-guided Noise Attention for Multimodal Medical Images.
    """

    def __init__(
        self,
        channels: int = 3,
        noise_channels: int | None = None,
        features: int = 32,
        growth: int = 8,
        num_blocks: int = 3,
        negative_slope: float = 0.2,
        noise_attention: bool = True,
        noise_activation: str = "linear",
        output_activation: str = "linear",
        global_skip: bool = True,
    ) -> None:
        super().__init__()
        noise_channels = channels if noise_channels is None else noise_channels
        check_positive(channels=channels, noise_channels=noise_channels)
        self.nen = NoiseEstimationNetwork(
            in_channels=channels,
            out_channels=noise_channels,
            features=features,
            growth=growth,
            num_blocks=num_blocks,
            negative_slope=negative_slope,
            activation=noise_activation,
        )
        self.rn = ReconstructionNetwork(
            in_channels=channels,
            noise_channels=noise_channels,
            out_channels=channels,
            features=features,
            growth=growth,
            num_blocks=num_blocks,
            negative_slope=negative_slope,
            noise_attention=noise_attention,
            activation=output_activation,
            global_skip=global_skip,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Denoise.

        Args:
            x: noisy images ``(B, channels, H, W)``, about [0, 1].

        Returns:
            Denoised images of the same shape.
        """
        return self.rn(x, self.nen(x))

    @property
    def receptive_radius(self) -> int:
        """The distance in pixels at which an input still affects an output: 94 by default (a field of 189 x 189).

        There is no global operation, so a tile with a halo of this width gives exactly the result of the whole image.
        """
        # Attention: a 3x3 and a 7x7 convolution.
        attention = 0 if self.rn.attention is None else 1 + 3
        return self.nen.trunk.receptive_radius + attention + self.rn.trunk.receptive_radius

    @torch.jit.export
    def stages(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Denoise, and return the noise estimate as well.

        Args:
            x: noisy images ``(B, channels, H, W)``, about [0, 1].

        Returns:
            The denoised images and the signed noise estimate N_E, both ``(B, channels, H, W)`` (the second with
            ``noise_channels``).
        """
        noise = self.nen(x)
        return self.rn(x, noise), noise


class TwoStageWithoutAttention(TwoStageDenoiser):
    """The paper's ablation "TWN": two stages, but no attention block; RN's first stage gets ``I_T + N_T``.

    567,648 parameters with the defaults. The same as ``TwoStageDenoiser(noise_attention=False)``.

    Args:
        arguments: those of :class:`TwoStageDenoiser` except ``noise_attention``.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, noise_attention=False)
