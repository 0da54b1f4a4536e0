# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Cutting volumes into slices and putting them together again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .stack import FormatError

__all__ = ["LPS_TO_RAS", "choose_slice_axis", "slices_of", "slice_spacing", "volume_of"]

# DICOM and ITK count places from right to left and front to back, NIfTI from left to right and back to front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def choose_slice_axis(path: Path, shape: Sequence[int], spacing: Sequence[float], chosen: int | None = None) -> int:
    """Choose the axis along which a volume is cut: the one sampled coarsest, where neighbors are least alike.

    Args:
        path: the file, for the message.
        shape: of the volume, ``(X, Y, Z)``.
        spacing: of its voxels in any one unit; values that are not positive are unknown.
        chosen: the caller's choice, 0, 1 or 2; None for the axis of length 1 where there is one, else the axis of the
            largest spacing, else (ties) the last.

    Returns:
        0, 1 or 2.

    Raises:
        FormatError: when ``chosen`` is not an axis.
    """
    if chosen is not None:
        if chosen not in (0, 1, 2):
            raise FormatError(path, f"has the axes 0, 1 and 2; slices along axis {chosen} were asked for.")
        return chosen
    single = [axis for axis in range(3) if shape[axis] == 1]
    if single:
        return single[-1]
    known = np.abs(np.nan_to_num(np.asarray(spacing, np.float64), nan=0.0, posinf=0.0, neginf=0.0))
    # Headers store spacings as float32 or as rounded text: nearly equal is equal.
    return int(np.flatnonzero(known >= known.max() * (1 - 1e-3))[-1])


def slices_of(volume: np.ndarray, axis: int, color: bool = False) -> np.ndarray:
    """Cut a volume into slices.

    Args:
        volume: ``(T, Z, Y, X)``, or ``(T, Z, Y, X, 3)`` for color.
        axis: along which, 0 for X, 1 for Y, 2 for Z.
        color: whether the last axis holds colors.

    Returns:
        ``(N, H, W)`` or ``(N, H, W, 3)``, volume by volume; a view where possible.
    """
    moved = np.moveaxis(volume, 3 - axis, 1)
    return moved.reshape(-1, *moved.shape[2 : 5 if color else 4])


def volume_of(slices: np.ndarray, shape: Sequence[int], axis: int) -> np.ndarray:
    """The inverse of :func:`slices_of`.

    Args:
        slices: ``(N, H, W)`` or ``(N, H, W, 3)``.
        shape: of the volume, ``(T, Z, Y, X)`` or ``(T, Z, Y, X, 3)``.
        axis: along which it was cut.

    Returns:
        The volume in ``shape``, a view of ``slices`` where they are contiguous.
    """
    moved = list(shape)
    moved.insert(1, moved.pop(3 - axis))
    return np.moveaxis(slices.reshape(moved), 1, 3 - axis)


def slice_spacing(spacing: Sequence[float], axis: int) -> tuple[float, float, float] | None:
    """The spacing of the slices, their rows and their columns.

    Args:
        spacing: ``(X, Y, Z)`` in millimeters.
        axis: along which the volume is cut.

    Returns:
        ``(slice, row, column)``, None when one of them is unknown.
    """
    known = [float(abs(each)) for each in spacing]
    if not all(np.isfinite(each) and each > 0 for each in known):
        return None
    # Rows and columns in the order of (Z, Y, X), as the arrays have it.
    rest = [known[other] for other in (2, 1, 0) if other != axis]
    return known[axis], rest[0], rest[1]
