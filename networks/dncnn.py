# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""DnCNN and its ten-layer variant MCDnCNN, compared methods."""

from __future__ import annotations

import torch
from torch import nn

from .checks import check_positive

__all__ = ["DnCNN", "MCDnCNN"]


class DnCNN(nn.Module):
    """The denoising convolutional neural network (DnCNN): it predicts the noise, which is subtracted.

    ::

        x -- conv 3x3, ReLU -- [conv 3x3, batch norm, ReLU] x (depth - 2) -- conv 3x3 -- x - out

    The convolutions before batch normalization have no bias. 558,403 parameters and 36.5 G multiply-accumulates at
    256 x 256 x 3 with the defaults. Kernels start as published, by He's method (normal, fan-in), biases at 0. Trained
    with the mean squared error of the noise, which is that of the image. Any image size works.

    Args:
        channels: number of input and output channels.
        depth: convolutions in all; 17 as published for one noise level. The published blind variant has 20.
        features: width of the hidden layers.

    Raises:
        ValueError: when a count is not a positive integer or ``depth`` is below 2.

    Example:
        >>> import torch
        >>> DnCNN()(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])

    Reference: Zhang, Zuo, Chen, Meng and Zhang, Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
    Denoising, IEEE Transactions on Image Processing 26(7), 2017.
    """

    def __init__(self, channels: int = 3, depth: int = 17, features: int = 64) -> None:
        super().__init__()
        check_positive(channels=channels, depth=depth, features=features)
        if depth < 2:
            raise ValueError(f"depth must be at least 2, got {depth}.")
        layers: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(features, features, 3, padding=1, bias=False), nn.BatchNorm2d(features), nn.ReLU()]
        layers.append(nn.Conv2d(features, channels, 3, padding=1))
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, channels, H, W)``. Returns: denoised images of the same shape."""
        return x - self.layers(x)


class MCDnCNN(DnCNN):
    """The multi-channel DnCNN (MCDnCNN) for MRI: a :class:`DnCNN` of ten layers.

    299,459 parameters and 19.6 G multiply-accumulates at 256 x 256 x 3 with the defaults. Its channels are adjacent
    slices of a volume; on 2-D images those are the image's own channels, and it is a ten-layer DnCNN.

    Deviation: only the abstract was at hand ("ten convolutional layers"), so layers and width are DnCNN's.

    Args:
        channels: adjacent slices, or an image's channels.
        depth: convolutions in all.
        features: width of the hidden layers.

    Reference: Jiang, Dou, Vosters, Xu, Sun and Tan, Denoising of 3D magnetic resonance images with multi-channel
    residual learning of convolutional neural network, Japanese Journal of Radiology 36(9), 2018.
    """

    def __init__(self, channels: int = 3, depth: int = 10, features: int = 64) -> None:
        super().__init__(channels, depth, features)
