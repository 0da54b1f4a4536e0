# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch as an engine."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ...networks import GrayscaleDenoiser, TwoStageDenoiser, fast_inference_network, fold_to_grayscale

__all__ = ["TorchEngine", "grey_network", "inference_network", "inference_networks"]


def grey_network(network: nn.Module) -> nn.Module:
    """The network for one-channel images: folded where that is exact, else repetition and mean."""
    if isinstance(network, TwoStageDenoiser):
        try:
            return fold_to_grayscale(network)
        except ValueError:
            pass
    return GrayscaleDenoiser(network)


def inference_network(network: nn.Module, precision: str) -> nn.Module:
    """What an engine runs: a copy of a network in its fastest equal form.

    Args:
        network: any denoiser.
        precision: ``"float32"`` or ``"bfloat16"``; in the latter the form is kept, since partial sums would be rounded.

    Returns:
        A network in evaluation mode.
    """
    copy = deepcopy(network).eval().requires_grad_(False)
    fast = precision == "float32" and isinstance(network, TwoStageDenoiser)
    return fast_inference_network(copy).eval().requires_grad_(False) if fast else copy


def inference_networks(network: nn.Module, precision: str) -> dict[int, nn.Module]:
    """The :func:`inference_network` for colour and that for grey images.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape.
        precision: ``"float32"`` or ``"bfloat16"``.

    Returns:
        Networks in evaluation mode by their number of channels, 3 and 1.
    """
    colour, grey = inference_network(network, precision), grey_network(network)
    folded = isinstance(grey, TwoStageDenoiser)
    return {3: colour, 1: inference_network(grey, precision) if folded else GrayscaleDenoiser(colour).eval()}


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
        self.network = inference_network(network, precision).to(self.device, memory_format=torch.channels_last)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.engines.base.Engine`."""
        grey = images.shape[1] == 1
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        # Grey images are repeated, at hardly any cost: one channel has no memory layout of its own, and PyTorch would
        # take the slower one for all layers.
        batch = batch.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        low = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            denoised = self.network(batch).float()
        return (denoised.mean(1, keepdim=True) if grey else denoised).cpu().numpy()
