# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The linear rule that maps each modality's intensities to [0, 1] and back.

The rule is fixed once for an image or a series, never per slice: 8-bit data 0..255; CT -1000..1000 HU; all other
data 0 to the 99.9th percentile. Nothing is clipped.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RepeatChannel

__all__ = [
    "RepeatGrayscaled",
    "ScaleFromUnitRanged",
    "ScaleToUnitRanged",
    "ToGrayLevelsd",
    "ToGreyLevelsd",
    "intensity_range",
    "negative_cause",
    "negative_share",
]

CT_RANGE = (-1000.0, 1000.0)
EIGHT_BIT_RANGE = (0.0, 255.0)
UPPER_PERCENTILE = 99.9
# An image with more than this share of its pixels below this value (in units of its range) was mapped wrongly;
# resampled MRI has a little below zero, CT in Hounsfield units nearly all.
LARGEST_NEGATIVE_SHARE = 0.1
CLEARLY_NEGATIVE = -0.05


def intensity_range(image: NdarrayOrTensor, stored_dtype: str, modality: str | None = None) -> tuple[float, float]:
    """Find the intensities that map to 0 and 1.

    Args:
        image: the image or the whole series, in its own unit (CT: HU).
        stored_dtype: dtype on file, such as ``"uint8"`` or ``"int16"``.
        modality: ``"ct"`` for computed tomography in HU; any other name or None otherwise.

    Returns:
        ``(low, high)`` with ``low < high``.

    Raises:
        ValueError: when the 99.9th percentile is not above 0, so that the rule gives no range.
    """
    if stored_dtype in ("uint8", "bool"):
        return EIGHT_BIT_RANGE
    if modality is not None and modality.lower() == "ct":
        return CT_RANGE
    values = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    high = float(np.percentile(values, UPPER_PERCENTILE))
    if high <= 0:
        raise ValueError(
            f"the 99.9th percentile of the intensities is {high:g}: the rule 0..percentile gives no range; "
            "state the intensity range."
        )
    return 0.0, high


def negative_share(unit: NdarrayOrTensor) -> float:
    """The share of clearly negative pixels.

    Args:
        unit: an image in units of its intensity range.

    Returns:
        A number in [0, 1].
    """
    return float((torch.as_tensor(unit) < CLEARLY_NEGATIVE).float().mean())


def negative_cause(share: float) -> str | None:
    """Why an image with so many clearly negative pixels cannot be denoised.

    Args:
        share: as :func:`negative_share` gives it.

    Returns:
        The cause, or None when there is none.
    """
    if share <= LARGEST_NEGATIVE_SHARE:
        return None
    return (
        f"{share:.0%} of its intensities are negative, outside the range that is denoised; if they are Hounsfield "
        "units, pass --modality ct"
    )


class ScaleToUnitRanged(MapTransform):
    """Map intensities linearly so that ``d[min_key]`` becomes 0 and ``d[max_key]`` becomes 1; no clipping.

    Where the item carries no range, :func:`intensity_range` finds it and it is written into the item, so that
    :class:`ScaleFromUnitRanged` can go back. A manifest's items always carry it.

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
                d[self.min_key], d[self.max_key] = intensity_range(d[key], stored, d.get(self.modality_key))
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
