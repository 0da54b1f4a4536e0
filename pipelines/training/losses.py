# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses between images that PyTorch does not have."""

from __future__ import annotations

import torch

__all__ = ["ImageCrossEntropy", "PSNRLoss"]


class ImageCrossEntropy(torch.nn.BCELoss):
    """``torch.nn.BCELoss`` for images that are not clipped: it is defined on [0, 1] only, so clean images are clipped.

    Finite also where a prediction is exactly 0 or 1, since PyTorch bounds the logarithms at -100.
    """

    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compare.

        Args:
            pred: denoised images in [0, 1], such as a sigmoid gives.
            target: clean images of the same shape, about [0, 1].

        Returns:
            The mean cross-entropy, one number.
        """
        return super().forward(pred, target.clip(0.0, 1.0))


class PSNRLoss(torch.nn.Module):
    """The mean over images of the logarithm of the mean squared error.

    Up to a factor and a constant this is the mean PSNR, negated, so every noise level counts the same: under the mean
    absolute or squared error, the images with the strongest noise decide. Unlike the mean absolute error, whose
    minimum is a median, it moves a dark background that clipping has brightened.

    Args:
        floor: added to the mean squared error of images in [0, 1], so that images without noise do not dominate. 1e-5
            stands for a PSNR of 50 dB.

    Raises:
        ValueError: if ``floor`` is not positive.

    Reference: the loss of Chen, Chu, Zhang and Sun, Simple Baselines for Image Restoration, ECCV 2022, with a floor.
    """

    def __init__(self, floor: float = 1e-5) -> None:
        super().__init__()
        if not floor > 0:
            raise ValueError(f"floor must be positive, got {floor!r}.")
        self.floor = float(floor)

    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compare.

        Args:
            pred: denoised images ``(B, ...)``.
            target: clean images of the same shape.

        Returns:
            One number; lower is better.
        """
        return (pred - target).square().flatten(1).mean(1).add(self.floor).log().mean()
