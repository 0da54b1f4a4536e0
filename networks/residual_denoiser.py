# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A denoiser made from a network that predicts noise."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ResidualDenoiser"]


class ResidualDenoiser(nn.Module):
    """Turns a noise estimator such as the NEN into a denoiser, ``I_N - network(I_N)`` (ablation "Stage-I").

    Args:
        network: maps noisy images to their estimated noise, same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x: noisy images ``(B, C, H, W)``. Returns: denoised images of the same shape."""
        return x - self.network(x)
