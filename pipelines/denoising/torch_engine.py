# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch as an engine."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ...networks import GrayscaleDenoiser, TwoStageDenoiser, fast_inference_network, fold_to_grayscale

__all__ = ["TorchEngine", "grey_network", "inference_networks"]


def grey_network(network: nn.Module) -> nn.Module:
    """The network for one-channel images: folded where that is exact, else repetition and mean."""
    if isinstance(network, TwoStageDenoiser):
        try:
            return fold_to_grayscale(network)
        except ValueError:
            pass
    return GrayscaleDenoiser(network)


def inference_networks(network: nn.Module, precision: str) -> dict[int, nn.Module]:
    """What an engine runs: copies of the network for colour and for grey images, in their fastest equal forms.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape.
        precision: ``"float32"`` or ``"bfloat16"``; in the latter the form is kept, since partial sums would be rounded.

    Returns:
        Networks in evaluation mode by their number of channels, 3 and 1.
    """
    colour = deepcopy(network).eval().requires_grad_(False)
    grey = grey_network(colour)
    if precision == "float32" and isinstance(network, TwoStageDenoiser):
        colour = fast_inference_network(colour)
        grey = fast_inference_network(grey) if isinstance(grey, TwoStageDenoiser) else GrayscaleDenoiser(colour)
    return {3: colour, 1: grey.eval().requires_grad_(False)}


class TorchEngine:
    """Runs a network in PyTorch, in ``channels_last``; bfloat16 is autocast. Untested on CUDA.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"`` or ``"bfloat16"``.
        device: where.
    """

    name = "torch"
    bytes_per_pixel = 1200

    def __init__(self, network: nn.Module, precision: str = "float32", device: str | torch.device = "cpu") -> None:
        self.precision = precision
        self.device = torch.device(device)
        colour = inference_networks(network, precision)[3]
        self.network = colour.to(self.device, memory_format=torch.channels_last)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.denoising.engine.Engine`."""
        grey = images.shape[1] == 1
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        # Grey images are repeated, at hardly any cost: one channel has no memory layout of its own, and PyTorch would
        # take the slower one for all layers.
        batch = batch.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        low = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            denoised = self.network(batch).float()
        return (denoised.mean(1, keepdim=True) if grey else denoised).cpu().numpy()
