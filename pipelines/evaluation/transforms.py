# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The transforms of an image before it is denoised and before it is scored."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import CenterSpatialCropd, Compose, EnsureTyped, MapTransform, SelectItemsd

from ...transforms import LoadMedicalImaged, MultiPatternNoised, RepeatGrayscaled, ScaleToUnitRanged, ToGrayLevelsd
from .references.noise_level import TrueNoiseLeveld

__all__ = ["AverageGrayscaled", "evaluation_postprocessing", "evaluation_preprocessing"]


class AverageGrayscaled(MapTransform):
    """Average the output channels of gray images, as inference on one-channel images does.

    This applies only where the noisy channels were equal (``record["shared"]``, the protocol ``physical``). Where each
    channel had its own noise, averaging would remove noise that the denoiser left.

    Args:
        keys: denoised images ``(C, ...)``.
        record_key: key of the noise record.
        grayscale_key: key of the flag that marks gray images.
        allow_missing_keys: do not raise when a key is missing.
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
        """Return a copy of ``data`` in which gray images have equal channels."""
        d = dict(data)
        if bool(d[self.grayscale_key]) and bool(d[self.record_key]["shared"]):
            for key in self.key_iterator(d):
                d[key] = d[key].mean(0, keepdim=True).expand_as(d[key])
        return d


def evaluation_preprocessing(crop: int | None = None) -> Compose:
    """Make the transform from a condition to its noisy and clean images.

    Args:
        crop: side in pixels of a center crop, taken before the noise is drawn; smaller images are not changed. None
            keeps whole images.

    Returns:
        A transform of items of :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions`. Its results have
        ``image`` (noisy) and ``label`` (clean), ``(3, X, Y)`` float32 about [0, 1], ``noise`` (record),
        ``noise_level``, ``grayscale``, ``eight_bit``, ``modality``, ``source`` and ``image_id``, and nothing else, so
        that no paths and file headers are passed on.
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
    """Make the transform from the network's output to the scored images.

    Returns:
        A transform of items with ``image``, ``pred`` and ``label``: it averages the channels of gray outputs, scales to
        0..255, clips, and rounds where the image has 8 bits.
    """
    return Compose([AverageGrayscaled(keys="pred"), ToGrayLevelsd(keys=["image", "pred", "label"])])
