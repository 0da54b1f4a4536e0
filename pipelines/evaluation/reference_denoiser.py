# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reference methods that need no training but are told the true noise level."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import nn

__all__ = ["ReferenceDenoiser"]


class ReferenceDenoiser(nn.Module):
    """Base of methods that denoise one image, grey or colour, of a known noise level.

    It is called as a network is, so that one evaluation serves both; :attr:`extra_inputs` names what it needs from the
    batch besides the image. Grey images, which come as equal channels, are denoised in one channel. A grey image whose
    copies differ, because each got noise of its own, is averaged over its channels first: that is the image to which
    its noise level (:func:`~noisewise.pipelines.evaluation.true_noise_level`) belongs.

    Subclasses implement :meth:`denoise`.
    """

    extra_inputs: ClassVar[dict[str, str]] = {"noise_level": "noise_level", "grayscale": "grayscale"}
    """Keyword arguments of :meth:`forward` and the items of the batch that they come from."""

    @abstractmethod
    def denoise(self, image: np.ndarray, level: float) -> np.ndarray:
        """Denoise one image.

        Args:
            image: ``(X, Y)`` grey or ``(X, Y, 3)`` colour, float64, about [0, 1].
            level: standard deviation of its noise, above 0.

        Returns:
            The denoised image, of the same shape.
        """

    def forward(
        self, x: torch.Tensor, noise_level: torch.Tensor | float, grayscale: torch.Tensor | bool | None = None
    ) -> torch.Tensor:
        """Denoise a batch, image by image on the CPU.

        Args:
            x: noisy images ``(B, C, X, Y)`` with C of 1 or 3, about [0, 1].
            noise_level: standard deviation of each image's noise on that scale, ``(B,)`` or one for all.
            grayscale: whether each image is grey, ``(B,)`` or one for all; None compares its channels.

        Returns:
            Denoised images of the same shape, dtype and device.

        Raises:
            ValueError: when the shape is not supported or a level is negative or not finite.
        """
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"expected (B, 1 or 3, X, Y), got shape {tuple(x.shape)}.")
        levels = torch.as_tensor(noise_level, dtype=torch.float64).cpu().expand(x.shape[0]).tolist()
        if grayscale is None:
            grey = [bool((image[1:] == image[:1]).all()) for image in x]
        else:
            grey = torch.as_tensor(grayscale).cpu().expand(x.shape[0]).tolist()
        images = [self._denoise_one(*parts) for parts in zip(x.as_subclass(torch.Tensor), levels, grey)]
        return torch.stack(images)

    def _denoise_one(self, image: torch.Tensor, level: float, grey: bool) -> torch.Tensor:
        if not np.isfinite(level) or level < 0:
            raise ValueError(f"the noise level must be a finite number of at least 0, got {level}.")
        values = image.detach().cpu().numpy().astype(np.float64)
        if grey:
            values = values.mean(0, keepdims=True)
        if level > 0:
            values = values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)
            values = np.asarray(self.denoise(np.ascontiguousarray(values), level))
            values = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(values)).to(image).expand_as(image)
