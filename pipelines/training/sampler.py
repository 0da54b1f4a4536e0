# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The training images that an epoch sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler

__all__ = ["training_sampler"]


def training_sampler(
    items: Sequence[Mapping[str, Any]], num_samples: int, balance_modalities: bool = True, key: str | None = "modality"
) -> Sampler[int]:
    """Draw the training images of an epoch.

    The draws come from PyTorch's global generator, which
    :class:`~noisewise.pipelines.training.EpochSeeding` seeds for each epoch and process; so it serves multi-process
    training as well, each process drawing its own share.

    Args:
        items: the manifest's data list.
        num_samples: how many images are drawn in an epoch.
        balance_modalities: give each modality an equal share, whatever its number of images; False draws uniformly
            over images, without replacement until all have been seen.
        key: the entry of the items that is balanced in place of the modality, such as ``"kernel"``; items without it
            share one group. None draws uniformly.

    Returns:
        A sampler of indices into ``items``.

    Raises:
        ValueError: when there are no items or ``num_samples`` is not positive.
    """
    if not items:
        raise ValueError("no training images.")
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
    if not balance_modalities or key is None:
        return RandomSampler(items, num_samples=num_samples)
    counts = Counter(item.get(key) for item in items)
    return WeightedRandomSampler([1.0 / counts[item.get(key)] for item in items], num_samples)
