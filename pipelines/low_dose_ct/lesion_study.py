# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The effect of denoising on low-contrast lesions, inserted into real pairs and detected by a model observer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ...data_manifest import kernel_class
from .detectability import area_under_curve, hotelling_observer, laguerre_gauss_channels
from .folds import Pair, PairDenoiser
from .lesions import cut_around, disk_signal, gaussian_transfer, insert_signal
from .regions import flat_regions

__all__ = ["FULL_DOSE", "LESION_CONTRAST_HU", "QUARTER_DOSE", "LesionTask", "lesion_study"]

FULL_DOSE, QUARTER_DOSE = "full_dose", "quarter_dose"
LESION_CONTRAST_HU: Mapping[str, float] = MappingProxyType({"soft": 15.0, "sharp": 40.0})

# Blur of the lesion's edge, similar to a body kernel: half the contrast remains at 0.38 cycles/mm.
_EDGE_SIGMA_MM = 0.5
# The observer's background starts this many diameters from the middle.
_BACKGROUND_DIAMETERS = 1.25
# Gallas and Barrett's width of the channels for a disk.
_CHANNEL_DIAMETERS = 1.5


@dataclass(frozen=True)
class LesionTask:
    """The inserted lesions and the observer.

    Attributes:
        contrast_hu: the disk's HU above its background, by the kernel's class.
        diameter_mm: the disk's diameter.
        spacing_mm: side of a pixel.
        square_px: side of the squares around the lesions, odd.
        per_slice: the largest number of lesions per slice.
        channels: the observer's number of Laguerre-Gauss channels.
        draws: the number of bootstrap samples. They consist of whole slices, because the squares of a slice are not
            independent, and use the observer of all slices.
        seed: seed of the bootstrap.
    """

    contrast_hu: Mapping[str, float] = field(default_factory=lambda: LESION_CONTRAST_HU)
    diameter_mm: float = 6.0
    spacing_mm: float = 0.7
    square_px: int = 33
    per_slice: int = 8
    channels: int = 5
    draws: int = 500
    seed: int = 0

    @property
    def diameter_px(self) -> float:
        """The disk's diameter in pixels."""
        return self.diameter_mm / self.spacing_mm

    def disk(self, kernel: str) -> np.ndarray:
        """Return the disk's image, ``(square_px, square_px)`` in HU, for a class of kernels."""
        blur = gaussian_transfer(_EDGE_SIGMA_MM)
        return disk_signal(self.contrast_hu[kernel], self.diameter_mm, self.square_px, self.spacing_mm, blur)


_DEFAULT_TASK = LesionTask()


def lesion_study(
    pairs: Iterable[Pair], denoisers: Mapping[str, PairDenoiser], task: LesionTask = _DEFAULT_TASK
) -> list[dict[str, Any]]:
    """Measure how well disks are detected in the full dose, the quarter dose and each denoised quarter dose.

    The same disks are added at the same flat places of both doses. A slice is denoised with all its disks and without
    them; the squares around the disks do not overlap. The observer compares a place with its surroundings: the mean
    around the lesion is subtracted from each square, so that different HU of organs do not count as noise.

    Args:
        pairs: such as :func:`~noisewise.pipelines.low_dose_ct.folds.read_pair` of a manifest's records, read one by
            one. They are grouped by the kernel's class (:func:`~noisewise.data_manifest.kernel_class`).
        denoisers: functions by name that denoise the low dose of a pair, ``(H, W)`` in HU. They are called for the pair
            with lesions and without. The pair contains the patient and the kernel, so that the network of a fold can be
            chosen.
        task: the lesions and the observer.

    Returns:
        One row per kernel class and method (``"full_dose"``, ``"quarter_dose"``, the denoisers): ``kernel``,
        ``method``, ``slices``, ``regions``, ``contrast_hu``, ``diameter_mm``, ``auc``, ``auc_sd``, ``d_prime``,
        ``d_prime_sd``.

    Raises:
        ValueError: when a kernel is not known, a denoiser has the name of a dose or changes the shape, the squares are
            too small for the disk and its surroundings, or a kernel has too few flat places.
    """
    taken = {FULL_DOSE, QUARTER_DOSE} & set(denoisers)
    if taken:
        raise ValueError(f"{', '.join(sorted(taken))} is the name of a dose; choose another name for the denoiser.")
    surroundings = _surroundings(task.square_px, task.diameter_px)
    methods: dict[str, PairDenoiser] = {FULL_DOSE: _full_dose, QUARTER_DOSE: _quarter_dose, **denoisers}
    squares: dict[str, dict[str, list[np.ndarray]]] = {}
    for pair in pairs:
        kernel = kernel_class(pair.kernel)
        if kernel not in task.contrast_hu:
            raise ValueError(f"{pair.image_id}: no contrast is given for its kernel {pair.kernel!r}.")
        regions = flat_regions(pair.full, task.square_px, task.per_slice)
        if not regions:
            continue
        middles = [tuple(axis.start + task.square_px // 2 for axis in region) for region in regions]
        disk = task.disk(kernel)
        diseased = replace(
            pair, **{dose: insert_signal(getattr(pair, dose), disk, middles) for dose in ("low", "full")}
        )
        for name, denoise in methods.items():
            cut = np.stack([_cut(denoise(each), name, pair, middles, task.square_px) for each in (diseased, pair)])
            cut -= cut[..., surroundings].mean(-1)[..., None, None]
            squares.setdefault(kernel, {}).setdefault(name, []).append(cut)

    width_px = _CHANNEL_DIAMETERS * task.diameter_mm / task.spacing_mm
    filters = laguerre_gauss_channels(task.square_px, width_px, task.channels)
    rows = []
    for kernel, by_method in sorted(squares.items(), reverse=True):
        for name, slices in by_method.items():
            row = {"kernel": kernel, "method": name, "slices": len(slices), "regions": sum(x.shape[1] for x in slices)}
            row |= {"contrast_hu": task.contrast_hu[kernel], "diameter_mm": task.diameter_mm}
            rows.append(row | _observe(slices, filters, task.draws, task.seed))
    return rows


def _full_dose(pair: Pair) -> np.ndarray:
    return pair.full


def _quarter_dose(pair: Pair) -> np.ndarray:
    return pair.low


def _cut(image: np.ndarray, name: str, pair: Pair, middles: list[tuple[int, int]], size: int) -> np.ndarray:
    if image.shape != pair.low.shape:
        raise ValueError(f"{name} returned the shape {image.shape} for a slice of {pair.low.shape}.")
    return cut_around(image, middles, size)


def _surroundings(size: int, diameter_px: float) -> np.ndarray:
    axis = np.arange(size) - size // 2
    outside = np.hypot(axis[:, None], axis[None, :]) > _BACKGROUND_DIAMETERS * diameter_px
    if 2 * _BACKGROUND_DIAMETERS * diameter_px >= size:
        raise ValueError(f"squares of {size} pixels are too small around a disk of {diameter_px:.1f} pixels.")
    return outside


def _observe(slices: list[np.ndarray], filters: np.ndarray, draws: int, seed: int) -> dict[str, float]:
    """Compute AUC and d' with bootstrap standard deviations, from squares ``(2, N, size, size)`` per slice."""
    found = hotelling_observer(*np.concatenate(slices, axis=1), filters)
    ends = np.cumsum([each.shape[1] for each in slices])[:-1]
    present, absent = np.split(found.present, ends), np.split(found.absent, ends)
    # The same slices are drawn for every method.
    generator = np.random.default_rng(seed)
    aucs, distances = [], []
    for _ in range(draws):
        drawn = generator.integers(len(slices), size=len(slices))
        scores = [np.concatenate([group[index] for index in drawn]) for group in (present, absent)]
        aucs.append(area_under_curve(*scores))
        variance = (scores[0].var(ddof=1) + scores[1].var(ddof=1)) / 2
        distances.append((scores[0].mean() - scores[1].mean()) / np.sqrt(variance) if variance > 0 else 0.0)
    return {
        "auc": found.auc,
        "auc_sd": float(np.std(aucs, ddof=1)),
        "d_prime": found.d_prime,
        "d_prime_sd": float(np.std(distances, ddof=1)),
    }
