# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Restormer, the modern reference among the compared methods: MONAI's, sized like the two-stage denoiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.restormer import Restormer
from monai.utils import optional_import
from torch import nn

from .checks import check_positive
from .padding import apply_padded

__all__ = ["RestormerDenoiser"]

_, has_einops = optional_import("einops")


class RestormerDenoiser(nn.Module):
    """``x + Restormer(x)``: the transformer of MONAI, with the image added to its output as published.

    With the defaults 8,045,200 parameters and, at 256 x 256 x 3, 38.40 G multiply-accumulates in convolutions, as many
    as the two-stage denoiser has (38.34 G), and 3.50 G more in attention. For that the published network (width 48,
    blocks 4, 6, 6, 8, heads 1, 2, 4, 8, four refinement blocks) has half the width and three more blocks at the
    lowest resolution. Any image size works: sides are padded by reflection to multiples of ``2**levels``, to 16 pixels
    at least with the defaults, and cropped again.

    Deviations from the publication: MONAI's blocks normalize each channel over the whole image (instance
    normalization) where the published ones normalize the channels of each pixel (layer normalization), and MONAI's
    network does not add the image, which is done here. Attention and normalization use the
    whole image, so tiles of an image give a different result from the whole.

    Needs the package ``einops``, which MONAI's blocks use.

    Args:
        channels: number of input and output channels.
        features: width of the highest resolution.
        num_blocks: transformer blocks at each resolution, the highest first.
        heads: attention heads at each resolution.
        num_refinement_blocks: blocks before the last convolution.
        expansion: the factor by which the feed-forward networks widen.

    Raises:
        ImportError: when ``einops`` is not installed.
        ValueError: when the sizes do not fit together.

    Reference: Zamir, Arora, Khan, Hayat, Khan and Yang, Restormer: Efficient Transformer for High-Resolution Image
    Restoration, CVPR 2022.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 24,
        num_blocks: Sequence[int] = (4, 6, 6, 11),
        heads: Sequence[int] = (1, 2, 4, 8),
        num_refinement_blocks: int = 4,
        expansion: float = 2.66,
    ) -> None:
        super().__init__()
        if not has_einops:
            raise ImportError("Restormer needs the package 'einops': pip install einops")
        check_positive(channels=channels, features=features)
        if len(num_blocks) < 2 or len(num_blocks) != len(heads) or min(*num_blocks, *heads) < 1:
            raise ValueError(
                "num_blocks and heads must be equally many positive integers, two at least, "
                f"got {tuple(num_blocks)} and {tuple(heads)}."
            )
        widths = [features * 2**level for level in range(len(heads))]
        if features % 2 or any(width % count for width, count in zip(widths, heads)):
            raise ValueError(f"features must be even and each width a multiple of its heads, got {features}, {heads}.")
        self.levels = len(num_blocks) - 1
        self.network = Restormer(
            spatial_dims=2,
            in_channels=channels,
            out_channels=channels,
            dim=features,
            num_blocks=tuple(num_blocks),
            heads=tuple(heads),
            num_refinement_blocks=num_refinement_blocks,
            ffn_expansion_factor=expansion,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape."""
        # Twice the network's stride: instance normalization needs at least two pixels.
        return x + apply_padded(self.network, x, multiple=2**self.levels, minimum=2 ** (self.levels + 1))
