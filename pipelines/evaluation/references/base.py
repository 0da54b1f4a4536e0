# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reference methods that need no training but are told the true noise level."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import decollate_batch
from torch import nn

from .noise_level import remove_noise_mean

__all__ = ["ReferenceDenoiser"]


class ReferenceDenoiser(nn.Module):
    """Base of methods that denoise one image, grey or colour, of a known noise level.

    It is called as a network is, so that one evaluation serves both; :attr:`extra_inputs` names what it needs from the
    batch besides the image. Grey images, which come as equal channels, are denoised in one channel. A grey image whose
    copies differ, because each got noise of its own, is averaged over its channels first: that is the image to which
    its noise level (:func:`~noisewise.pipelines.evaluation.true_noise_level`) belongs.

    Noise of the protocol ``author_code`` has a mean; it is taken off before (:func:`remove_noise_mean`), since the
    methods are for zero-mean noise and a network trained on that noise knows it too.

    Subclasses implement :meth:`denoise`, or :meth:`denoise_recorded` when they use more than the level.
    """

    extra_inputs: ClassVar[dict[str, str]] = {
        "noise_level": "noise_level",
        "grayscale": "grayscale",
        "noise": "noise",
    }
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

    def denoise_recorded(self, image: np.ndarray, level: float, noise: Mapping[str, Any], draws: int) -> np.ndarray:
        """Denoise one image whose noise is on record; the level is all that :meth:`denoise` is told of it.

        Args:
            image: as for :meth:`denoise`; the noise's mean is off already.
            level: standard deviation of its noise, above 0.
            noise: how it was drawn, as a :class:`~noisewise.transforms.NoiseRecord` says.
            draws: how many copies with draws of their own the image is the average of.

        Returns:
            The denoised image, of the same shape.
        """
        return self.denoise(image, level)

    def forward(
        self,
        x: torch.Tensor,
        noise_level: torch.Tensor | float,
        grayscale: torch.Tensor | bool | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        """Denoise a batch, image by image on the CPU.

        Args:
            x: noisy images ``(B, C, X, Y)`` with C of 1 or 3, about [0, 1].
            noise_level: standard deviation of each image's noise on that scale, ``(B,)`` or one for all.
            grayscale: whether each image is grey, ``(B,)`` or one for all; None compares its channels.
            noise: how each image's noise was drawn, the collated records of the batch or one for all; None when the
                level is all that is known.

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
        if noise is None or isinstance(noise["pattern"], str):
            records = [noise] * x.shape[0]
        else:
            records = decollate_batch(dict(noise))
        images = [self._denoise_one(*parts) for parts in zip(x.as_subclass(torch.Tensor), levels, grey, records)]
        return torch.stack(images)

    def _denoise_one(
        self, image: torch.Tensor, level: float, grey: bool, noise: Mapping[str, Any] | None
    ) -> torch.Tensor:
        if not np.isfinite(level) or level < 0:
            raise ValueError(f"the noise level must be a finite number of at least 0, got {level}.")
        values = image.detach().cpu().numpy().astype(np.float64)
        draws = 1
        if noise is not None:
            values = remove_noise_mean(values, noise)
            draws = len(values) if grey and not noise["shared"] else 1
        if grey:
            values = values.mean(0, keepdims=True)
        if level > 0:
            values = np.ascontiguousarray(values[0] if len(values) == 1 else np.moveaxis(values, 0, -1))
            if noise is None:
                values = np.asarray(self.denoise(values, level))
            else:
                values = np.asarray(self.denoise_recorded(values, level, noise, draws))
            values = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(values)).to(image).expand_as(image)
