# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reflection padding for images of any size, and networks that need certain sizes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

__all__ = ["apply_padded", "reflect_pad", "reflected_indices"]


def reflect_pad(x: torch.Tensor, left: int, right: int, top: int, bottom: int) -> torch.Tensor:
    """Pad by reflection about the border pixels, which are not repeated.

    PyTorch's reflection can only add fewer pixels than the image's side has. This one reflects as often as needed, and
    repeats a side of one pixel.

    Args:
        x: images ``(B, C, H, W)``.
        left: columns to add at the left.
        right: columns to add at the right.
        top: rows to add above.
        bottom: rows to add below.

    Returns:
        Images ``(B, C, top + H + bottom, left + W + right)``.
    """
    while max(left, right, top, bottom) > 0:
        rows, columns = x.shape[-2:]
        if rows == 1 or columns == 1:  # the reflection of one line is the line itself
            now = (left, right, 0, 0) if columns == 1 else (0, 0, top, bottom)
            x = functional.pad(x, now, mode="replicate")
            if max(now) == 0:
                now = (min(left, columns - 1), min(right, columns - 1), 0, 0)
                x = functional.pad(x, now, mode="reflect")
        else:
            now = (min(left, columns - 1), min(right, columns - 1), min(top, rows - 1), min(bottom, rows - 1))
            x = functional.pad(x, now, mode="reflect")
        left, right, top, bottom = left - now[0], right - now[1], top - now[2], bottom - now[3]
    return x


def apply_padded(
    network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, multiple: int = 1, minimum: int = 1
) -> torch.Tensor:
    """Apply a network that needs certain image sizes: pad by reflection at the right and below, apply, crop.

    Args:
        network: maps ``(B, C, H, W)`` to images of the same size.
        x: images ``(B, C, H, W)`` of any size.
        multiple: the network's sides must be multiples of this.
        minimum: and at least this.

    Returns:
        The network's output for the padded images, cropped to the size of ``x``.
    """
    rows, columns = x.shape[-2:]
    down, across = (-(-max(side, minimum) // multiple) * multiple - side for side in (rows, columns))
    if not down and not across:  # no crop either, so that a traced graph fixes no size
        return network(x)
    return network(reflect_pad(x, 0, across, 0, down))[..., :rows, :columns]


def reflected_indices(length: int, total: int, device: torch.device) -> torch.Tensor:
    """Indices that extend an axis by reflection about its last element, as :func:`reflect_pad` does; can be scripted.

    Args:
        length: length of the axis.
        total: length of the extended axis.
        device: where the indices go.

    Returns:
        ``total`` indices below ``length``: 0, 1, ..., length - 1, length - 2, ...
    """
    period = max(2 * (length - 1), 1)
    indices = torch.arange(total, device=device) % period
    return torch.where(indices < length, indices, period - indices)
