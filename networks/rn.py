# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Stage II: the reconstruction network (RN)."""

from __future__ import annotations

import torch
from torch import nn

from .activation import output_activation
from .checks import check_positive
from .noise_attention import NoiseAttentionBlock
from .residual_dense import GatedDenseTrunk

__all__ = ["ReconstructionNetwork"]


class ReconstructionNetwork(nn.Module):
    """Reconstructs the clean image from the noisy image and its estimated noise (stage II).

    A 1x1 convolution without bias for each input gives image features I_T and noise features N_T; the noise
    attention block weights I_T; then ``num_blocks`` gated RRDB stages and a 1x1 convolution without bias. 302,466
    parameters and 19.78 G multiply-accumulates at 256 x 256 x 3 with the defaults, as in the paper's Table VII.
    Any image size works; the receptive field is 99 x 99 pixels.

    Deviation from the paper: its text says that 3x3 convolutions feed the attention block, but only 1x1 ones agree
    with its own parameter count.

    Args:
        in_channels: channels of the noisy image.
        noise_channels: channels of the noise estimate; ``in_channels`` when None.
        out_channels: channels of the output; ``in_channels`` when None.
        features: width of the trunk.
        growth: channels that each dense convolution adds.
        num_blocks: gated RRDB stages.
        negative_slope: slope of the LeakyReLU for negative values.
        noise_attention: False removes the attention block and feeds ``I_T + N_T`` to the first stage: the paper's
            ablation "TWN", 283,872 parameters.
        activation: ``"linear"``, ``"sigmoid"`` or ``"tanh"`` after the last convolution.
        global_skip: add the noisy image to the last convolution's output, before the activation. Needs
            ``out_channels == in_channels``.

    Raises:
        ValueError: when a count is not a positive integer, ``activation`` is unknown, or ``global_skip`` is set and
            the numbers of channels differ.

    Example:
        >>> import torch
        >>> image, noise = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
        >>> ReconstructionNetwork()(image, noise).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        in_channels: int = 3,
        noise_channels: int | None = None,
        out_channels: int | None = None,
        features: int = 32,
        growth: int = 8,
        num_blocks: int = 3,
        negative_slope: float = 0.2,
        noise_attention: bool = True,
        activation: str = "linear",
        global_skip: bool = True,
    ) -> None:
        super().__init__()
        noise_channels = in_channels if noise_channels is None else noise_channels
        out_channels = in_channels if out_channels is None else out_channels
        check_positive(in_channels=in_channels, noise_channels=noise_channels, out_channels=out_channels)
        if global_skip and out_channels != in_channels:
            raise ValueError(
                f"global_skip needs as many output as input channels, got {in_channels} in and {out_channels} out."
            )
        self.image_head = nn.Conv2d(in_channels, features, 1, bias=False)
        self.noise_head = nn.Conv2d(noise_channels, features, 1, bias=False)
        self.attention = NoiseAttentionBlock(features) if noise_attention else None
        self.trunk = GatedDenseTrunk(features, growth, num_blocks, negative_slope)
        self.tail = nn.Conv2d(features, out_channels, 1, bias=False)
        self.activation = output_activation(activation)
        self.global_skip = bool(global_skip)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Reconstruct the clean image.

        Args:
            x: noisy images I_N ``(B, in_channels, H, W)``, about [0, 1].
            noise: estimated noise N_E ``(B, noise_channels, H, W)``, signed.

        Returns:
            Denoised images ``(B, out_channels, H, W)``.
        """
        image_features, noise_features = self.image_head(x), self.noise_head(noise)
        if self.attention is not None:
            features = self.attention(image_features, noise_features)
        else:
            features = image_features + noise_features
        out = self.tail(self.trunk(features))
        if self.global_skip:
            out = out + x
        return self.activation(out)
