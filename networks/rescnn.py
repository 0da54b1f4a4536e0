# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""ResCNN, a compared method."""

from __future__ import annotations

from .dncnn import DnCNN

__all__ = ["ResCNN"]


class ResCNN(DnCNN):
    """Jifara's residual network for medical images (ResCNN), **re-interpreted**: a :class:`DnCNN` of 15 layers.

    484,419 parameters with the defaults. It predicts the noise, which is subtracted, and is trained with the mean
    squared error.

    Re-interpreted: only the abstract was at hand, which tells of residual learning and batch normalization in a
    feed-forward network; the 15 layers of 64 filters, built like DnCNN's, are this package's reading. No conclusion
    should rest on this method's results.

    Args:
        channels: number of input and output channels.
        depth: convolutions in all.
        features: width of the hidden layers.

    Reference: Jifara, Jiang, Rho, Cheng and Liu, Medical image denoising using convolutional neural network: a
    residual learning approach, The Journal of Supercomputing 75, 2019.
    """

    def __init__(self, channels: int = 3, depth: int = 15, features: int = 64) -> None:
        super().__init__(channels, depth, features)
