# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The level, mean and factor of simulated noise, which the reference methods are given."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ....transforms.noise_models import FULL_SCALE, NOISE_PROTOCOLS, PATTERNS

__all__ = ["TrueNoiseLeveld", "remove_noise_mean", "speckle_factor", "true_noise_level"]


def true_noise_level(residual: torch.Tensor, record: Mapping[str, Any], grayscale: bool = False) -> float:
    """Compute the standard deviation of an image's noise, on the [0, 1] scale.

    Gaussian noise: the nominal sigma. Everything else, the ``author_code`` protocol included:
    ``sqrt(mean((I_N - I_C)^2))`` of the image.

    A gray image has one level for its one channel. Where each of its three copies has its own noise (the protocols
    ``published`` and ``author_code``), a method that denoises in one channel gets the average of the copies, and the
    level is that of the average: sigma / sqrt(3) for Gaussian noise.

    Args:
        residual: true noise ``I_N - I_C``, ``(C, ...)``, image in [0, 1]; under ``author_code``, where noise has a
            mean, that of :func:`remove_noise_mean` of the noisy image.
        record: how it was drawn, as a :class:`~noisewise.transforms.NoiseRecord` says.
        grayscale: whether the channels are copies of one.

    Returns:
        The level, 0 or more.
    """
    drawn_by = NOISE_PROTOCOLS[record["protocol"]].patterns[record["pattern"]]
    if drawn_by is PATTERNS["gaussian"]:
        draws = residual.shape[0] if grayscale and not record["shared"] else 1
        return float(record["std"]) / FULL_SCALE / draws**0.5
    if grayscale:
        residual = residual.mean(0)
    return float(residual.double().square().mean().sqrt())


def remove_noise_mean(noisy: np.ndarray | torch.Tensor, record: Mapping[str, Any]) -> np.ndarray | torch.Tensor:
    """Remove the known mean of the noise from an image, which leaves the clean image plus zero-mean noise.

    Only the protocol ``author_code`` has such a mean. Its noise u is uniform on [0, s], s = std / 255, on data
    z = 2 I_C - 1: ``z + u`` (Gaussian branch) lies s / 2 too high, ``z + z u`` (speckle branch) is too large by
    1 + s / 2. A method that knows the noise level but not the mean would be judged by an offset that a denoiser of
    zero-mean noise cannot detect. Exact for unclipped images only.

    Args:
        noisy: noisy image, about [0, 1].
        record: how it was drawn, as a :class:`~noisewise.transforms.NoiseRecord` says.

    Returns:
        The image without the mean; under the other protocols ``noisy`` itself.
    """
    remove_mean = NOISE_PROTOCOLS[record["protocol"]].remove_mean
    if remove_mean is None:
        return noisy
    return remove_mean(noisy, record["pattern"], float(record["std"]) / FULL_SCALE)


def speckle_factor(record: Mapping[str, Any], draws: int = 1) -> tuple[float, float]:
    """Return the multiplicative model of a speckled image: ``I = c + (I_C - c) (1 + s n)``, n of mean 0 and variance 1.

    Args:
        record: a record of the pattern ``speckle``; see :class:`~noisewise.transforms.NoiseRecord`.
        draws: how many independently drawn copies the image is the average of.

    Returns:
        s and c: the factor's standard deviation, and the intensity that gets no noise: 0, or 0.5 under
        ``author_code`` (after :func:`remove_noise_mean`).
    """
    factor, unchanged = NOISE_PROTOCOLS[record["protocol"]].speckle_factor(float(record["std"]) / FULL_SCALE)
    return factor / draws**0.5, unchanged


class TrueNoiseLeveld(MapTransform):
    """Write :func:`true_noise_level` into the item.

    Args:
        keys: the one key of the true residual.
        level_key: key of the result, a float32 tensor.
        record_key: key of the noise record.
        grayscale_key: key of the flag that marks gray images.
        clean_key: key of the clean image; needed only under ``author_code``.
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
        """Return a copy of ``data`` with the level."""
        d = dict(data)
        for key in self.key_iterator(d):
            residual = torch.as_tensor(d[key]).as_subclass(torch.Tensor)
            record = d[self.record_key]
            if NOISE_PROTOCOLS[record["protocol"]].remove_mean is not None:
                clean = torch.as_tensor(d[self.clean_key]).as_subclass(torch.Tensor)
                residual = remove_noise_mean(clean + residual, record) - clean
            level = true_noise_level(residual, record, bool(d.get(self.grayscale_key, False)))
            d[self.level_key] = torch.tensor(level, dtype=torch.float32)
        return d
