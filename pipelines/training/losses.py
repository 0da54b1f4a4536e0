# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Binary cross-entropy between images."""

from __future__ import annotations

import torch

__all__ = ["ImageCrossEntropy"]


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
