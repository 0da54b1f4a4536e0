# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The dictionary version of the realistic noise transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from .noise_dictionary import CLEAN, GRAYSCALE, RECORD, RESIDUAL, single_key
from .realistic_noise import RandRealisticNoise

__all__ = ["RandRealisticNoised", "RandRealisticNoiseD", "RandRealisticNoiseDict"]


class RandRealisticNoised(RandomizableTransform, MapTransform):
    """Dictionary version of :class:`~noisewise.transforms.RandRealisticNoise`.

    The image under ``keys`` becomes noisy. Its target, the residual (noisy image minus target) and the record of the
    draw are put beside it.

    Args:
        keys: the one key of the clean image ``(C, H, W)`` in [0, 1].
        clean_key: where the target goes.
        residual_key: where the residual goes.
        record_key: where the record goes, as a dictionary.
        grayscale_key: where the item says whether it is gray; without it the channels are compared.
        noise: the arguments of :class:`~noisewise.transforms.RandRealisticNoise`.

    Raises:
        ValueError: if there are several keys, or an argument is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        clean_key: str = CLEAN,
        residual_key: str = RESIDUAL,
        record_key: str = RECORD,
        grayscale_key: str = GRAYSCALE,
        **noise: Any,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.key = single_key(keys)
        self.clean_key, self.residual_key, self.record_key = clean_key, residual_key, record_key
        self.grayscale_key = grayscale_key
        self.noise = RandRealisticNoise(**noise)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandRealisticNoised:
        """Set the random state of this transform and of the array transform inside it."""
        super().set_random_state(seed, state)
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Corrupt. Returns: a copy of ``data`` with noisy image, target, residual and record."""
        noisy, target = self.noise(data[self.key], grayscale=data.get(self.grayscale_key))
        return {
            **data,
            self.key: noisy,
            self.clean_key: target,
            self.residual_key: noisy - target,
            self.record_key: self.noise.record.as_dict(),
        }


RandRealisticNoiseD = RandRealisticNoiseDict = RandRealisticNoised
