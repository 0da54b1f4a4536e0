# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Groups of blocks of about equal intensity, and the quietest blocks of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .blocks import Blocks

__all__ = ["bins_by_intensity", "quietest"]

BINS = 6
FEWEST = 6
QUIET_SHARE = 0.15


def bins_by_intensity(blocks: Blocks, bins: int = BINS) -> Iterator[Blocks]:
    """Group blocks by their mean, about the same number in each group.

    Noise depends on intensity, so quiet blocks are only looked for among blocks of the same intensity.

    Args:
        blocks: any blocks.
        bins: number of groups.

    Yields:
        The groups from dark to bright, without those of fewer than 6 blocks.
    """
    if not len(blocks):
        return
    limits = np.quantile(blocks.mean, np.linspace(0, 1, bins + 1))
    index = np.clip(np.searchsorted(limits, blocks.mean, side="right") - 1, 0, bins - 1)
    for number in range(bins):
        group = blocks[index == number]
        if len(group) >= FEWEST:
            yield group


def quietest(group: Blocks, share: float = QUIET_SHARE) -> Blocks:
    """The blocks with the least structure.

    Args:
        group: blocks of about equal intensity.
        share: of the blocks.

    Returns:
        That share of them, but at least 6.
    """
    return group[np.argsort(group.structure(), kind="stable")[: max(FEWEST, int(share * len(group)))]]
