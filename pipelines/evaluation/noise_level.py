# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The true noise level of a simulated image: what the training-free reference methods are told."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ...transforms.noise_models import FULL_SCALE

__all__ = ["TrueNoiseLeveld", "true_noise_level"]


def true_noise_level(residual: torch.Tensor, record: Mapping[str, Any], grayscale: bool = False) -> float:
    """The standard deviation of an image's noise, on the [0, 1] scale.

    Gaussian noise: the nominal sigma. Everything else, the ``author_code`` protocol included, whose noise has an
    offset: ``sqrt(mean((I_N - I_C)^2))`` of the image.

    A grey image has one level for its one channel. Where its three copies carry noise of their own (the protocols
    ``published`` and ``author_code``), a method that denoises in one channel gets the average of the copies, and the
    level is that of this average: sigma / sqrt(3) for Gaussian noise.

    Args:
        residual: true noise ``I_N - I_C``, ``(C, ...)``, image in [0, 1].
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


class TrueNoiseLeveld(MapTransform):
    """Write :func:`true_noise_level` into the item.

    Args:
        keys: the one key of the true residual.
        level_key: where the level goes, a float32 tensor.
        record_key: where the noise record stands.
        grayscale_key: where the item says whether it is grey.
    """

    def __init__(
        self,
        keys: KeysCollection = "residual",
        level_key: str = "noise_level",
        record_key: str = "noise",
        grayscale_key: str = "grayscale",
    ) -> None:
        super().__init__(keys)
        self.level_key, self.record_key, self.grayscale_key = level_key, record_key, grayscale_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Compute. Returns: a copy of ``data`` with the level."""
        d = dict(data)
        for key in self.key_iterator(d):
            residual = torch.as_tensor(d[key]).as_subclass(torch.Tensor)
            level = true_noise_level(residual, d[self.record_key], bool(d.get(self.grayscale_key, False)))
            d[self.level_key] = torch.tensor(level, dtype=torch.float32)
        return d
