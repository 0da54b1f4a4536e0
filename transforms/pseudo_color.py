# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Color images made from gray ones, so that a denoiser learns how the channels of a color image go together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

__all__ = ["RandPseudoColorD", "RandPseudoColorDict", "RandPseudoColord"]


class RandPseudoColord(RandomizableTransform, MapTransform):
    """Turn some gray images into color ones: each channel gets a gamma curve, a gain and an offset of its own.

    Few medical color images may be used for any purpose. The channels of real ones mostly share their edges and differ
    in contrast and brightness, which this imitates. The item is then marked as colored, so that the noise transforms
    draw independent noise for each channel.

    Args:
        keys: channel-first images in [0, 1] whose channels are equal.
        prob: share of the gray images that are colored.
        gamma: range of the exponent of each channel.
        gain: range of the factor of each channel.
        offset: range of the intensity added to each channel.
        grayscale_key: where the item says whether it is gray, as
            :class:`~noisewise.transforms.RepeatGrayscaled` writes it.
        allow_missing_keys: do not raise if a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.1,
        gamma: tuple[float, float] = (0.6, 1.6),
        gain: tuple[float, float] = (0.3, 1.0),
        offset: tuple[float, float] = (0.0, 0.3),
        grayscale_key: str = "grayscale",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.ranges = (tuple(gamma), tuple(gain), tuple(offset))
        self.grayscale_key = grayscale_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Color. Returns: a copy of ``data``."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform or not d.get(self.grayscale_key, False):
            return d
        for key in self.key_iterator(d):
            image = d[key].clone()
            for channel in range(len(image)):
                gamma, gain, offset = (float(self.R.uniform(*limits)) for limits in self.ranges)
                image[channel] = offset + gain * image[channel].clip(0.0, 1.0) ** gamma
            d[key] = image
        d[self.grayscale_key] = False
        return d


RandPseudoColorD = RandPseudoColorDict = RandPseudoColord
