# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the training-free reference methods are told of a simulated image's noise: its level, mean and factor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ....transforms.noise_models import FULL_SCALE

__all__ = ["TrueNoiseLeveld", "remove_noise_mean", "speckle_factor", "true_noise_level"]


def true_noise_level(residual: torch.Tensor, record: Mapping[str, Any], grayscale: bool = False) -> float:
    """The standard deviation of an image's noise, on the [0, 1] scale.

    Gaussian noise: the nominal sigma. Everything else, the ``author_code`` protocol included:
    ``sqrt(mean((I_N - I_C)^2))`` of the image.

    A grey image has one level for its one channel. Where its three copies carry noise of their own (the protocols
    ``published`` and ``author_code``), a method that denoises in one channel gets the average of the copies, and the
    level is that of this average: sigma / sqrt(3) for Gaussian noise.

    Args:
        residual: true noise ``I_N - I_C``, ``(C, ...)``, image in [0, 1]; under ``author_code``, where noise has a
            mean, that of :func:`remove_noise_mean` of the noisy image.
        record: how it was drawn, as a :class:`~noisewise.transforms.NoiseRecord` says.
        grayscale: whether the channels are copies of one.

    Returns:
        The level, 0 or more.
    """
    if record["pattern"] == "gaussian" and record["protocol"] != "author_code":
        draws = residual.shape[0] if grayscale and not record["shared"] else 1
        return float(record["std"]) / FULL_SCALE / draws**0.5
    if grayscale:
        residual = residual.mean(0)
    return float(residual.double().square().mean().sqrt())


def remove_noise_mean(
    noisy: np.ndarray | torch.Tensor, record: Mapping[str, Any]
) -> np.ndarray | torch.Tensor:
    """Take the known mean of its noise off an image, so that what is left is clean image plus zero-mean noise.

    Only the protocol ``author_code`` has such a mean. Its noise u is uniform on [0, s], s = std / 255, on data
    z = 2 I_C - 1: ``z + u`` (Gaussian branch) lies s / 2 too high, ``z + z u`` (speckle branch) is too large by
    1 + s / 2. A method that is told the noise level but not this would be judged by an offset that no denoiser of
    zero-mean noise can see. Exact for unclipped images only.

    Args:
        noisy: noisy image, about [0, 1].
        record: how it was drawn, as a :class:`~noisewise.transforms.NoiseRecord` says.

    Returns:
        The image without the mean; under the other protocols ``noisy`` itself.
    """
    if record["protocol"] != "author_code":
        return noisy
    mean = float(record["std"]) / FULL_SCALE / 2
    if record["pattern"] == "gaussian":
        return noisy - mean / 2
    return ((2 * noisy - 1) / (1 + mean) + 1) / 2


def speckle_factor(record: Mapping[str, Any], draws: int = 1) -> tuple[float, float]:
    """The multiplicative model of a speckled image: ``I = c + (I_C - c) (1 + s n)``, n of mean 0 and variance 1.

    Args:
        record: a record of the pattern ``speckle``; see :class:`~noisewise.transforms.NoiseRecord`.
        draws: how many copies with draws of their own the image is the average of.

    Returns:
        s and c: the factor's standard deviation, and the intensity that gets no noise: 0, or 0.5 under
        ``author_code`` (after :func:`remove_noise_mean`).
    """
    std = float(record["std"]) / FULL_SCALE
    if record["protocol"] == "author_code":
        return std / 12**0.5 / (1 + std / 2) / draws**0.5, 0.5
    return std / draws**0.5, 0.0


class TrueNoiseLeveld(MapTransform):
    """Write :func:`true_noise_level` into the item.

    Args:
        keys: the one key of the true residual.
        level_key: where the level goes, a float32 tensor.
        record_key: where the noise record stands.
        grayscale_key: where the item says whether it is grey.
        clean_key: where the clean image stands; needed under ``author_code`` alone.
    """

    def __init__(
        self,
        keys: KeysCollection = "residual",
        level_key: str = "noise_level",
        record_key: str = "noise",
        grayscale_key: str = "grayscale",
        clean_key: str = "label",
    ) -> None:
        super().__init__(keys)
        self.level_key, self.record_key, self.grayscale_key = level_key, record_key, grayscale_key
        self.clean_key = clean_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Compute. Returns: a copy of ``data`` with the level."""
        d = dict(data)
        for key in self.key_iterator(d):
            residual = torch.as_tensor(d[key]).as_subclass(torch.Tensor)
            record = d[self.record_key]
            if record["protocol"] == "author_code":
                clean = torch.as_tensor(d[self.clean_key]).as_subclass(torch.Tensor)
                residual = remove_noise_mean(clean + residual, record) - clean
            level = true_noise_level(residual, record, bool(d.get(self.grayscale_key, False)))
            d[self.level_key] = torch.tensor(level, dtype=torch.float32)
        return d
