# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise simulation as MONAI dictionary transforms: noisy image, clean image, true residual and record in one item."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from .noise import RandMultiPatternNoise, apply_noise
from .noise_models import NoisePlan, NoiseRecord

__all__ = [
    "MultiPatternNoiseD",
    "MultiPatternNoiseDict",
    "MultiPatternNoised",
    "RandMultiPatternNoiseD",
    "RandMultiPatternNoiseDict",
    "RandMultiPatternNoised",
]

CLEAN, RESIDUAL, RECORD, GRAYSCALE = "label", "residual", "noise", "grayscale"


def single_key(keys: KeysCollection) -> Hashable:
    """The key of a transform that takes exactly one. Raises: ValueError: when there are none or several."""
    names = (keys,) if isinstance(keys, (str, bytes)) or not isinstance(keys, Sequence) else tuple(keys)
    if len(names) != 1:
        raise ValueError(f"one key is corrupted at a time, got {names}.")
    return names[0]


def noise_from_dict(stored: Mapping[str, Any]) -> NoisePlan:
    """The plan, or the record if it says whether channels shared a draw, that ``as_dict`` turned into ``stored``."""
    return NoiseRecord(**stored) if "shared" in stored else NoisePlan(**stored)


def _with_noise(
    data: Mapping[Hashable, Any], key: Hashable, noisy: Any, record: NoiseRecord, names: tuple[str, str, str]
) -> dict[Hashable, Any]:
    clean_key, residual_key, record_key = names
    clean = data[key]
    return {**data, key: noisy, clean_key: clean, residual_key: noisy - clean, record_key: record.as_dict()}


class RandMultiPatternNoised(RandomizableTransform, MapTransform):
    """Dictionary version of :class:`~noisewise.transforms.noise.RandMultiPatternNoise`.

    The image under ``keys`` becomes noisy. The clean image, the true residual ``I_N - I_C`` and the record of the draw
    are added to the item.

    Args:
        keys: the one key of the clean image ``(C, ...)`` in [0, 1].
        std_range: standard deviations are uniform in this range, on the 0..255 scale.
        patterns: patterns to choose from with equal probability.
        protocol: one of :data:`~noisewise.transforms.noise_models.PROTOCOLS`.
        clip: clip the noisy image to [0, 1].
        quantize: clip it and round it to 256 levels.
        prob: probability of corrupting an image.
        clean_key: the key that gets the clean image.
        residual_key: the key that gets the residual: noisy minus clean, after clipping if that is on.
        record_key: the key that gets the record, a dictionary that :class:`MultiPatternNoised` replays.
        grayscale_key: the key that tells whether the image is gray
            (:class:`~noisewise.transforms.RepeatGrayscaled` writes it); without it, channels are compared.

    Raises:
        ValueError: when an argument is not one of its choices or out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        std_range: Sequence[float] = (0.0, 75.0),
        patterns: Sequence[str] = ("gaussian", "speckle"),
        protocol: str = "physical",
        clip: bool = False,
        quantize: bool = False,
        prob: float = 1.0,
        clean_key: str = CLEAN,
        residual_key: str = RESIDUAL,
        record_key: str = RECORD,
        grayscale_key: str = GRAYSCALE,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.key = single_key(keys)
        self.names = (clean_key, residual_key, record_key)
        self.grayscale_key = grayscale_key
        self.noise = RandMultiPatternNoise(
            std_range=std_range, patterns=patterns, protocol=protocol, clip=clip, quantize=quantize, prob=prob
        )

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandMultiPatternNoised:
        """Set the random state of this transform and of the array transform inside it."""
        super().set_random_state(seed, state)
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Corrupt. Returns: a copy of ``data`` with noisy image, clean image, residual and record."""
        noisy = self.noise(data[self.key], grayscale=data.get(self.grayscale_key))
        return _with_noise(data, self.key, noisy, self.noise.record, self.names)


class MultiPatternNoised(MapTransform):
    """Dictionary version of :class:`~noisewise.transforms.noise.MultiPatternNoise`: replays a recorded draw.

    The draw comes from the item (``data[record_key]``, as :class:`RandMultiPatternNoised` or
    :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions` wrote it), or is given here for all items.

    Args:
        keys: the one key of the clean image ``(C, ...)`` in [0, 1].
        pattern: pattern for items without a record.
        std: standard deviation for items without a record, on the 0..255 scale.
        seed: seed for items without a record.
        protocol: protocol for items without a record.
        clip: clip, for items without a record.
        quantize: round to 256 levels, for items without a record.
        clean_key: the key that gets the clean image.
        residual_key: the key that gets the residual.
        record_key: the key of the item's record, or of the new one.
        grayscale_key: the key that tells whether the image is gray; without it, channels are compared.

    Raises:
        ValueError: when an argument is not one of its choices; on a call, when neither the item nor the arguments
            give a draw.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pattern: str | None = None,
        std: float | None = None,
        seed: int | None = None,
        protocol: str = "physical",
        clip: bool = False,
        quantize: bool = False,
        clean_key: str = CLEAN,
        residual_key: str = RESIDUAL,
        record_key: str = RECORD,
        grayscale_key: str = GRAYSCALE,
    ) -> None:
        super().__init__(keys)
        self.key = single_key(keys)
        self.names = (clean_key, residual_key, record_key)
        self.grayscale_key = grayscale_key
        given = [value is not None for value in (pattern, std, seed)]
        if any(given) and not all(given):
            raise ValueError("pattern, std and seed are given together or not at all.")
        self.plan = None
        if all(given):
            self.plan = NoisePlan(pattern, float(std), int(seed), protocol, clip=clip, quantize=quantize)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Corrupt. Returns: a copy of ``data`` with noisy image, clean image, residual and record."""
        stored = data.get(self.names[2])
        plan = self.plan if stored is None else noise_from_dict(stored)
        if plan is None:
            raise ValueError(f"nothing to replay: the item has no '{self.names[2]}' and no pattern, std, seed are set.")
        noisy, record = apply_noise(data[self.key], plan, data.get(self.grayscale_key))
        return _with_noise(data, self.key, noisy, record, self.names)


RandMultiPatternNoiseD = RandMultiPatternNoiseDict = RandMultiPatternNoised
MultiPatternNoiseD = MultiPatternNoiseDict = MultiPatternNoised
