# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which training images an epoch sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler

__all__ = ["training_sampler"]


def training_sampler(
    items: Sequence[Mapping[str, Any]], num_samples: int, balance_modalities: bool = True, key: str = "modality"
) -> Sampler[int]:
    """Draw training images, so many an epoch.

    The draws come from PyTorch's global generator, which
    :class:`~noisewise.pipelines.training.EpochSeeding` seeds for each epoch and process; so it serves multi-process
    training as well, each process drawing its own share.

    Args:
        items: the manifest's data list.
        num_samples: images an epoch.
        balance_modalities: give each modality an equal share, whatever its number of images; False draws uniformly
            over images, without replacement until all have been seen.
        key: what stands for the modality: another entry of the items, such as ``"kernel"``; items without it share
            one group.

    Returns:
        A sampler of indices into ``items``.

    Raises:
        ValueError: when there are no items or ``num_samples`` is not positive.
    """
    if not items:
        raise ValueError("no training images.")
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
    if not balance_modalities:
        return RandomSampler(items, num_samples=num_samples)
    counts = Counter(item.get(key) for item in items)
    return WeightedRandomSampler([1.0 / counts[item.get(key)] for item in items], num_samples)
