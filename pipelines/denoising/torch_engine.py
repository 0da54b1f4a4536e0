# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch as an engine."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ...networks import GrayscaleDenoiser, TwoStageDenoiser, fold_to_grayscale

__all__ = ["TorchEngine", "grey_network"]


def grey_network(network: nn.Module) -> nn.Module:
    """The network for one-channel images: folded where that is exact, else repetition and mean."""
    if isinstance(network, TwoStageDenoiser):
        try:
            return fold_to_grayscale(network)
        except ValueError:
            pass
    return GrayscaleDenoiser(network)


class TorchEngine:
    """Runs a network in PyTorch, in ``channels_last``.

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
        colour = deepcopy(network).eval()
        self.networks = {
            channels: each.eval().to(self.device, memory_format=torch.channels_last)
            for channels, each in ((3, colour), (1, grey_network(colour)))
        }

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.denoising.engine.Engine`."""
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        low = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            return self.networks[images.shape[1]](batch).float().cpu().numpy()
