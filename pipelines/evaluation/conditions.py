# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Test conditions: every image with every noise pattern and standard deviation, or at a low dose with every kernel.

Each has a seed of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from ...transforms import PHOTONS_PER_MA, LowDoseRecord
from ...transforms.noise_models import NoiseRecord, derive_seed

__all__ = ["expand_conditions", "low_dose_conditions"]


def expand_conditions(
    items: Sequence[Mapping[str, Any]],
    patterns: Sequence[str] = ("gaussian", "speckle"),
    stds: Sequence[float] = (10, 25, 50, 75),
    protocol: str = "physical",
    seed: int = 0,
    clip: bool = False,
    quantize: bool = False,
    record_key: str = "noise",
) -> list[dict[str, Any]]:
    """Repeat every item for every pattern and standard deviation.

    The seed of each draw depends on ``seed``, the image and the condition alone, so a longer list, another order or a
    single image gives the same noise.

    Args:
        items: items of a manifest's data list; ``image_id`` (or else ``image``) tells them apart.
        patterns: noise patterns.
        stds: standard deviations on the 0..255 scale.
        protocol: noise protocol.
        seed: base seed.
        clip: clip the noisy images.
        quantize: round the noisy images to 256 levels.
        record_key: where the planned draw goes; :class:`~noisewise.transforms.MultiPatternNoised` replays it.

    Returns:
        ``len(items) * len(patterns) * len(stds)`` new items.

    Raises:
        ValueError: when a pattern, standard deviation or protocol is not valid.
    """
    expanded = []
    for item, pattern, std in product(items, patterns, stds):
        identity = item.get("image_id", item["image"])
        draw = NoiseRecord(
            pattern=pattern,
            std=float(std),
            seed=derive_seed(seed, identity, pattern, float(std)),
            protocol=protocol,
            clip=clip,
            quantize=quantize,
        ).as_dict()
        del draw["shared"]  # the image decides, when it is read
        expanded.append({**item, record_key: draw})
    return expanded


def low_dose_conditions(
    items: Sequence[Mapping[str, Any]],
    kernels: Sequence[str] = ("soft", "sharp"),
    dose: float = 0.25,
    tube_current: float = 250.0,
    seed: int = 0,
    record_key: str = "low_dose",
) -> list[dict[str, Any]]:
    """Repeat every item for every kernel.

    The seed of a draw depends on ``seed``, the image and the kernel alone.

    Args:
        items: items of a manifest's data list.
        kernels: names of reconstruction kernels.
        dose: the fraction of the normal dose.
        tube_current: the normal dose, in mA for 3 mm slices.
        seed: base seed.
        record_key: where the planned draw goes; :class:`~noisewise.transforms.LowDoseCTd` replays it.

    Returns:
        ``len(items) * len(kernels)`` new items, each with its ``kernel``.

    Raises:
        ValueError: when a kernel or the dose is not valid.
    """
    expanded = []
    for item, kernel in product(items, kernels):
        draw = derive_seed(seed, item.get("image_id", item["image"]), kernel, float(dose))
        record = LowDoseRecord(dose, tube_current * PHOTONS_PER_MA, kernel, 1.0, draw)
        expanded.append({**item, "kernel": kernel, record_key: record.as_dict()})
    return expanded
