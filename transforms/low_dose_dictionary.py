# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Low-dose CT simulation as MONAI dictionary transforms: whole slices, replayed draws, and training patches."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from .low_dose import AIR_HU, PHOTONS_PER_MA, LowDoseCT, LowDoseRecord, RandLowDoseCT, line_integrals, one_slice
from .noise_dictionary import single_key

__all__ = [
    "LineIntegralsD",
    "LineIntegralsDict",
    "LineIntegralsd",
    "LowDoseCTD",
    "LowDoseCTDict",
    "LowDoseCTd",
    "RandLowDoseCropD",
    "RandLowDoseCropDict",
    "RandLowDoseCropd",
]

CLEAN, RECORD, INTEGRALS = "label", "low_dose", "line_integrals"
# Patches are taken from the body, not from the air around it.
BODY_HU, POSITIONS = -500.0, 8


class LineIntegralsd(MapTransform):
    """Project a CT slice once, so that a cached data set does not project it again for every draw.

    Args:
        keys: the one key of the slice ``(1, H, W)`` in HU.
        pixel_mm: side of a pixel.
        integrals_key: the key that gets the line integrals.

    Raises (when called):
        ValueError: when the image is not one slice in HU.
    """

    def __init__(self, keys: KeysCollection, pixel_mm: float = 0.7, integrals_key: str = INTEGRALS) -> None:
        super().__init__(keys)
        self.key, self.pixel_mm, self.integrals_key = single_key(keys), pixel_mm, integrals_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Project. Returns: a copy of ``data`` with the line integrals."""
        return {**data, self.integrals_key: line_integrals(one_slice(data[self.key]), self.pixel_mm)}


class LowDoseCTd(MapTransform):
    """Dictionary version of :class:`~noisewise.transforms.LowDoseCT`: replays the draw that the item holds.

    Args:
        keys: the one key of the slice ``(1, H, W)`` in HU.
        pixel_mm: side of a pixel.
        electronic: see :func:`~noisewise.transforms.low_dose_noise`.
        modulation: see :func:`~noisewise.transforms.low_dose_noise`.
        lowest: lower values are raised to this; None does not clip.
        clean_key: the key that gets the unchanged slice.
        record_key: the key of the draw, a dictionary from :meth:`LowDoseRecord.as_dict`.
        integrals_key: the key of the line integrals, if they are known.

    Raises (when called):
        ValueError: when the item holds no draw, or the image is not one slice in HU.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pixel_mm: float = 0.7,
        electronic: float = 5.0,
        modulation: float = 0.5,
        lowest: float | None = AIR_HU,
        clean_key: str = CLEAN,
        record_key: str = RECORD,
        integrals_key: str = INTEGRALS,
    ) -> None:
        super().__init__(keys)
        self.key = single_key(keys)
        self.settings = {"pixel_mm": pixel_mm, "electronic": electronic, "modulation": modulation, "lowest": lowest}
        self.clean_key, self.record_key, self.integrals_key = clean_key, record_key, integrals_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lower the dose. Returns: a copy of ``data`` with the low-dose and the clean slice."""
        if data.get(self.record_key) is None:
            raise ValueError(f"nothing to replay: the item has no '{self.record_key}'.")
        record = LowDoseRecord(**data[self.record_key])
        image = data[self.key]
        noisy = LowDoseCT(**record.as_dict(), **self.settings)(image, data.get(self.integrals_key))
        return {**data, self.key: noisy, self.clean_key: image}


class RandLowDoseCropd(RandomizableTransform, MapTransform):
    """A random patch of a CT slice at a random lower dose: training data at the cost of the patch alone.

    Only the noise of the patch is back-projected: a 64th of the work for 64 x 64 of 512 x 512 pixels. The result equals
    the patch cut out of :class:`~noisewise.transforms.LowDoseCT`'s whole slice.

    Args:
        keys: the one key of the slice ``(1, H, W)`` in HU.
        roi_size: rows and columns of the patch.
        dose_range: fractions of the normal dose, uniform.
        photons_range: see :class:`~noisewise.transforms.RandLowDoseCT`.
        kernels: names of reconstruction kernels.
        scale_range: factors of the kernel's frequencies, uniform.
        pixel_mm: side of a pixel.
        electronic: see :func:`~noisewise.transforms.low_dose_noise`.
        modulation: see :func:`~noisewise.transforms.low_dose_noise`.
        lowest: lower values are raised to this; None does not clip.
        body_share: eight random positions are drawn. The first one is taken where at least this share of the patch is
            body (above -500 HU); if there is none, the position with the largest share is.
        clean_key: the key that gets the unchanged patch.
        record_key: the key that gets the draw.
        integrals_key: the key of the line integrals that :class:`LineIntegralsd` writes.

    Raises:
        ValueError: when an argument is out of range; on a call, when the slice is smaller than the patch.
    """

    def __init__(
        self,
        keys: KeysCollection,
        roi_size: Sequence[int],
        dose_range: Sequence[float] = (0.25, 0.25),
        photons_range: Sequence[float] = (100 * PHOTONS_PER_MA, 600 * PHOTONS_PER_MA),
        kernels: Sequence[str] = ("soft", "sharp"),
        scale_range: Sequence[float] = (0.8, 1.2),
        pixel_mm: float = 0.7,
        electronic: float = 5.0,
        modulation: float = 0.5,
        lowest: float | None = AIR_HU,
        body_share: float = 0.5,
        clean_key: str = CLEAN,
        record_key: str = RECORD,
        integrals_key: str = INTEGRALS,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.key = single_key(keys)
        self.roi_size = tuple(int(extent) for extent in roi_size)
        if len(self.roi_size) != 2 or min(self.roi_size) < 1:
            raise ValueError(f"roi_size must be two positive numbers, got {tuple(roi_size)}.")
        if not 0 <= body_share <= 1:
            raise ValueError(f"body_share must be between 0 and 1, got {body_share}.")
        self.low_dose = RandLowDoseCT(
            dose_range, photons_range, kernels, scale_range, pixel_mm, electronic, modulation, lowest
        )
        self.body_share, self.lowest = body_share, lowest
        self.clean_key, self.record_key, self.integrals_key = clean_key, record_key, integrals_key
        self.corner = (0, 0)

    def set_random_state(self, seed: int | None = None, state: Any = None) -> RandLowDoseCropd:
        """Seed the position and the noise."""
        super().set_random_state(seed, state)
        self.low_dose.set_random_state(state=self.R)
        return self

    def randomize(self, data: torch.Tensor) -> None:
        """Draw the position in ``data``, ``(H, W)`` in HU, and the noise; always the same number of draws."""
        super().randomize(None)
        spans = [extent - wanted + 1 for extent, wanted in zip(data.shape, self.roi_size)]
        corners = [tuple(int(self.R.randint(span)) for span in spans) for _ in range(POSITIONS)]
        shares = [float((self._cut(data, corner) > BODY_HU).float().mean()) for corner in corners]
        good = [corner for corner, share in zip(corners, shares) if share >= self.body_share]
        self.corner = good[0] if good else corners[shares.index(max(shares))]
        self.low_dose.randomize()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut and lower the dose. Returns: a copy of ``data`` with both patches and the draw; no line integrals."""
        slice_hu = one_slice(data[self.key])
        if any(extent < wanted for extent, wanted in zip(slice_hu.shape, self.roi_size)):
            raise ValueError(f"a patch of {self.roi_size} does not fit into a slice of {tuple(slice_hu.shape)}.")
        self.randomize(slice_hu)
        (top, left), (height, width) = self.corner, self.roi_size
        clean = self._cut(slice_hu, self.corner)
        noise = self.low_dose.replay.noise(
            data[self.integrals_key], slice_hu.shape, slice(top, top + height), slice(left, left + width)
        )
        noisy = clean + noise
        if self.lowest is not None:
            noisy = noisy.clamp(min=self.lowest)
        rest = {key: value for key, value in data.items() if key != self.integrals_key}
        return {
            **rest,
            self.key: noisy[None],
            self.clean_key: clean[None].clone(),
            self.record_key: self.low_dose.record.as_dict(),
        }

    def _cut(self, image: torch.Tensor, corner: tuple[int, int]) -> torch.Tensor:
        (top, left), (height, width) = corner, self.roi_size
        return image[top : top + height, left : left + width]


LineIntegralsD = LineIntegralsDict = LineIntegralsd
LowDoseCTD = LowDoseCTDict = LowDoseCTd
RandLowDoseCropD = RandLowDoseCropDict = RandLowDoseCropd
