# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Dictionary transforms of intensities: to [0, 1] and back, to three channels, to gray levels."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RepeatChannel

from .intensity import find_intensity_range, warn_of_guess

__all__ = ["RepeatGrayscaled", "ScaleFromUnitRanged", "ScaleToUnitRanged", "ToGrayLevelsd", "ToGreyLevelsd"]


RANGE_OPTION = "intensity_range"


class ScaleToUnitRanged(MapTransform):
    """Map intensities linearly so that ``d[min_key]`` becomes 0 and ``d[max_key]`` becomes 1; no clipping.

    Where the item carries no range, :func:`find_intensity_range` finds it, and it is written into the item, so that
    :class:`ScaleFromUnitRanged` can go back; a range that had to be guessed gives a warning. A manifest's items always
    carry it.

    Args:
        keys: images to scale, each a MetaTensor of :class:`~noisewise.transforms.load.LoadMedicalImage`.
        min_key: the item's key for the lower intensity.
        max_key: the item's key for the upper intensity.
        modality_key: the item's key for the modality, used without a range.
        allow_missing_keys: don't raise when a key is missing.

    Raises (of a call):
        ValueError: when the range is empty or not finite.
    """

    def __init__(
        self,
        keys: KeysCollection,
        min_key: str = "intensity_min",
        max_key: str = "intensity_max",
        modality_key: str = "modality",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.min_key, self.max_key, self.modality_key = min_key, max_key, modality_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale the images. Returns: a copy of ``data`` with float32 images in units of the range."""
        d = dict(data)
        for key in self.key_iterator(d):
            if d.get(self.min_key) is None or d.get(self.max_key) is None:
                stored = str(getattr(d[key], "meta", {}).get("stored_dtype", d[key].dtype)).removeprefix("torch.")
                found = find_intensity_range(d[key], stored, d.get(self.modality_key))
                warn_of_guess(found, RANGE_OPTION)
                d[self.min_key], d[self.max_key] = found.low, found.high
            low, high = float(d[self.min_key]), float(d[self.max_key])
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(f"the intensity range [{low:g}, {high:g}] is empty or not finite.")
            d[key] = (d[key] - low) / (high - low)
        return d


class ScaleFromUnitRanged(MapTransform):
    """The way back of :class:`ScaleToUnitRanged`: 0 becomes ``d[min_key]``, 1 becomes ``d[max_key]``.

    Args:
        keys: images to scale back.
        min_key: the item's key for the lower intensity.
        max_key: the item's key for the upper intensity.
        allow_missing_keys: don't raise when a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        min_key: str = "intensity_min",
        max_key: str = "intensity_max",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.min_key, self.max_key = min_key, max_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale the images back. Returns: a copy of ``data`` with images in their own unit."""
        d = dict(data)
        for key in self.key_iterator(d):
            low, high = float(d[self.min_key]), float(d[self.max_key])
            d[key] = d[key] * (high - low) + low
        return d


class RepeatGrayscaled(MapTransform):
    """Repeat one-channel images to ``channels`` channels, and note in the item that they are gray.

    The note lets the noise transforms share one draw over the copies: three copies with independent noise would be a
    much easier image.

    Args:
        keys: channel-first images of 1 or ``channels`` channels.
        channels: how many channels the network takes.
        grayscale_key: where True (one channel came) or False is written.
        allow_missing_keys: don't raise when a key is missing.

    Raises (of a call):
        ValueError: when an image has another number of channels.
    """

    def __init__(
        self,
        keys: KeysCollection,
        channels: int = 3,
        grayscale_key: str = "grayscale",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.channels = channels
        self.grayscale_key = grayscale_key
        self.repeat = RepeatChannel(channels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Repeat. Returns: a copy of ``data`` with ``(channels, ...)`` images and the note."""
        d = dict(data)
        for key in self.key_iterator(d):
            count = d[key].shape[0]
            if count not in (1, self.channels):
                raise ValueError(f"'{key}' has {count} channels; only 1 and {self.channels} are supported.")
            d[self.grayscale_key] = count == 1
            if count == 1 and self.channels > 1:
                d[key] = self.repeat(d[key])
        return d


class ToGrayLevelsd(MapTransform):
    """Bring [0, 1] images to the 0..255 scale on which the metrics are defined: clip, multiply, round if 8-bit.

    Args:
        keys: images in [0, 1], values outside legal.
        eight_bit_key: where the item says whether its file holds 8-bit data; only then is the result rounded.
        allow_missing_keys: don't raise when a key is missing.
    """

    def __init__(
        self, keys: KeysCollection, eight_bit_key: str = "eight_bit", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.eight_bit_key = eight_bit_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Convert. Returns: a copy of ``data`` with float images in 0..255."""
        d = dict(data)
        for key in self.key_iterator(d):
            levels = d[key].clip(0.0, 1.0) * 255.0
            d[key] = levels.round() if bool(d.get(self.eight_bit_key, False)) else levels
        return d


class ToGreyLevelsd(ToGrayLevelsd):
    """The earlier name of :class:`ToGrayLevelsd`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "ToGreyLevelsd is now ToGrayLevelsd; the old name will be removed.", DeprecationWarning, stacklevel=2
        )
        super().__init__(*args, **kwargs)
