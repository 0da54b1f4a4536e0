# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Scoring a network through the product: as a user gets its results, from arrays or from 8-bit files."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .arrays import denoise_array
from .denoiser import Denoiser
from .models import DenoisingModel
from .settings import DenoisingSettings

__all__ = ["ProductDenoiser"]


class ProductDenoiser(nn.Module):
    """Denoises as :func:`noisewise.denoise` does: the range is found, and values far outside pass through.

    Args:
        network: the network, whose weights may be loaded later, before the first call.
        as_file: hand images over as uint8, as an 8-bit file holds them; otherwise as float32 in about [0, 1].
        device: the device of the network.
        engine: see :func:`noisewise.denoise`.
    """

    def __init__(
        self, network: nn.Module, as_file: bool = False, device: str | torch.device = "cpu", engine: str = "auto"
    ) -> None:
        super().__init__()
        self.network = network
        self.as_file = as_file
        self._settings = DenoisingSettings(engine=engine, device=str(device))
        self._denoiser: Denoiser | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Denoise a batch, image by image.

        Args:
            x: noisy images ``(B, 3, X, Y)``, about [0, 1].

        Returns:
            Denoised images of the same shape.
        """
        return torch.stack([self._denoise(image) for image in x.as_subclass(torch.Tensor)])

    def _denoise(self, image: torch.Tensor) -> torch.Tensor:
        if self._denoiser is None:
            self._denoiser = Denoiser.around(DenoisingModel.of("scored", self.network), self._settings)
        # To rows and columns, as in files and arrays.
        values = image.detach().mT.movedim(0, -1).cpu().numpy()
        if self.as_file:
            values = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
        result = torch.from_numpy(denoise_array(values, self._settings, color=True, denoiser=self._denoiser))
        return (result / 255 if self.as_file else result).movedim(-1, 0).mT.to(image)
