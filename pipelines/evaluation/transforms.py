# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens to an image before it is denoised and before it is scored."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import CenterSpatialCropd, Compose, EnsureTyped, MapTransform, SelectItemsd

from ...transforms import LoadMedicalImaged, MultiPatternNoised, RepeatGrayscaled, ScaleToUnitRanged, ToGreyLevelsd
from .references.noise_level import TrueNoiseLeveld

__all__ = ["AverageGrayscaled", "evaluation_postprocessing", "evaluation_preprocessing"]


class AverageGrayscaled(MapTransform):
    """Give grey images the mean of their output channels, as inference on one-channel images does.

    Only where the noisy channels were equal (``record["shared"]``, the protocol ``physical``): where each copy had
    noise of its own, averaging would remove noise that no denoiser did.

    Args:
        keys: denoised images ``(C, ...)``.
        record_key: where the noise record stands.
        grayscale_key: where the item says whether it is grey.
        allow_missing_keys: don't raise when a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        record_key: str = "noise",
        grayscale_key: str = "grayscale",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.record_key, self.grayscale_key = record_key, grayscale_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Average. Returns: a copy of ``data``, grey images with equal channels."""
        d = dict(data)
        if bool(d[self.grayscale_key]) and bool(d[self.record_key]["shared"]):
            for key in self.key_iterator(d):
                d[key] = d[key].mean(0, keepdim=True).expand_as(d[key])
        return d


def evaluation_preprocessing(crop: int | None = None) -> Compose:
    """From an item of :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions` to noisy and clean images.

    Args:
        crop: cut the images to this many pixels a side around their centre before noise is drawn; smaller images stay
            as they are. None keeps whole images.

    Returns:
        A transform whose items hold ``image`` (noisy) and ``label`` (clean), ``(3, X, Y)`` float32 about [0, 1],
        ``noise`` (record), ``noise_level``, ``grayscale``, ``eight_bit``, ``modality``, ``source`` and ``image_id``,
        and nothing else: neither paths nor file headers go further.
    """
    cropping = [] if crop is None else [CenterSpatialCropd(keys="image", roi_size=(crop, crop))]
    kept = ["image", "label", "noise", "noise_level", "grayscale", "eight_bit", "modality", "source", "image_id"]
    return Compose(
        [
            LoadMedicalImaged(keys="image"),
            ScaleToUnitRanged(keys="image"),
            *cropping,
            RepeatGrayscaled(keys="image"),
            MultiPatternNoised(keys="image"),
            TrueNoiseLeveld(keys="residual"),
            EnsureTyped(keys=["image", "label"], track_meta=False),
            SelectItemsd(keys=kept),
        ]
    )


def evaluation_postprocessing() -> Compose:
    """From network output to what is scored: grey outputs averaged, then 0..255, clipped, rounded where 8-bit.

    Returns:
        A transform of items with ``image``, ``pred`` and ``label``.
    """
    return Compose([AverageGrayscaled(keys="pred"), ToGreyLevelsd(keys=["image", "pred", "label"])])
