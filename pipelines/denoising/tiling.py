# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiles whose denoised cores join to exactly the untiled result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Tile", "tiles"]


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
        core: rows and columns of the result that this tile provides.
        window: rows and columns that the network reads for it: the core and a halo, cut at the image's border.
        inner: the core's place within the window.
    """

    core: tuple[slice, slice]
    window: tuple[slice, slice]
    inner: tuple[slice, slice]


def tiles(height: int, width: int, tile_size: int | None, halo: int, grid: int = 1) -> Iterator[Tile]:
    """Cut an image into tiles.

    If the network has no global operations, and its output depends on inputs at most ``halo`` pixels away, each core is
    equal to that part of the untiled result: the window ends with the halo or with the image and is never padded, so
    that the network's own zero padding acts only at the border of the image. MONAI's ``SlidingWindowInferer``
    pads the image and blends overlapping windows, and is therefore not exact.

    Args:
        height: height of the image, at least 1.
        width: width of the image, at least 1.
        tile_size: side of a core in pixels; None takes the whole image. Cores have equal sizes, at most this.
        halo: the network's receptive radius in pixels.
        grid: windows start at multiples of this, the product of the network's strides.

    Yields:
        Tiles that cover the image once, row by row.

    Raises:
        ValueError: if a size or the grid is below 1, or the halo below 0.
    """
    if height < 1 or width < 1 or (tile_size is not None and tile_size < 1) or halo < 0 or grid < 1:
        raise ValueError(f"no tiles of {tile_size} with a halo of {halo} in an image of {height} x {width}.")
    rows, columns = (_spans(length, tile_size, halo, grid) for length in (height, width))
    for row, column in itertools.product(rows, columns):
        yield Tile(*zip(row, column))


def _spans(length: int, size: int | None, halo: int, grid: int) -> list[tuple[slice, slice, slice]]:
    count = 1 if size is None else -(-length // size)
    edges = [length * index // count for index in range(count + 1)]
    spans = []
    for begin, end in itertools.pairwise(edges):
        first, last = max(0, begin - halo) // grid * grid, min(length, end + halo)
        spans.append((slice(begin, end), slice(first, last), slice(begin - first, end - first)))
    return spans
