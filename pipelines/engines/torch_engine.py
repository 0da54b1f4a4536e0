# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch as an engine."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ...networks import GrayscaleDenoiser, TwoStageDenoiser, fast_inference_network, fold_to_grayscale
from ..moved import renamed

__all__ = ["TorchEngine", "gray_network", "inference_network", "inference_networks"]


def gray_network(network: nn.Module) -> nn.Module:
    """The network for one-channel images: folded if that is exact, otherwise with repeated input and mean output."""
    try:
        return fold_to_grayscale(network)
    except ValueError:
        return GrayscaleDenoiser(network)


def inference_network(network: nn.Module, precision: str) -> nn.Module:
    """The network that an engine runs: a copy in its fastest equivalent form.

    Args:
        network: any denoiser.
        precision: ``"float32"`` or ``"bfloat16"``; bfloat16 keeps the form, since it would round partial sums.

    Returns:
        A network in evaluation mode.
    """
    copy = deepcopy(network).eval().requires_grad_(False)
    fast = precision == "float32" and isinstance(network, TwoStageDenoiser)
    return fast_inference_network(copy).eval().requires_grad_(False) if fast else copy


def inference_networks(network: nn.Module, precision: str) -> dict[int, nn.Module]:
    """The :func:`inference_network` for color images and the one for gray images.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape.
        precision: ``"float32"`` or ``"bfloat16"``.

    Returns:
        Networks in evaluation mode by their number of channels, 3 and 1.
    """
    color, gray = inference_network(network, precision), gray_network(network)
    folded = not isinstance(gray, GrayscaleDenoiser)
    return {3: color, 1: inference_network(gray, precision) if folded else GrayscaleDenoiser(color).eval()}


class TorchEngine:
    """Runs a network in PyTorch, in ``channels_last``; bfloat16 is autocast. Untested on CUDA.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"`` or ``"bfloat16"``.
        device: ``"cpu"``, ``"cuda"``, ...
    """

    name = "torch"
    bytes_per_pixel = 1200

    def __init__(self, network: nn.Module, precision: str = "float32", device: str | torch.device = "cpu") -> None:
        self.precision = precision
        self.device = torch.device(device)
        self.network = inference_network(network, precision).to(self.device, memory_format=torch.channels_last)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.engines.base.Engine`."""
        gray = images.shape[1] == 1
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        # Repeating gray images costs hardly anything. A single channel has no memory layout of its own, and PyTorch
        # would choose the slower one for all layers.
        batch = batch.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        low = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            denoised = self.network(batch).float()
        return (denoised.mean(1, keepdim=True) if gray else denoised).cpu().numpy()


__getattr__ = renamed(__name__, grey_network="gray_network")
