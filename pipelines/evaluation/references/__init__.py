# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The reference methods by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from ....transforms.noise_models import check_choice
from .bm3d import BM3DDenoiser
from .bm3d_vst import StabilizedBM3DDenoiser
from .nlm import NonLocalMeansDenoiser

__all__ = ["REFERENCES", "reference_methods"]

REFERENCES: dict[str, Callable[[], nn.Module]] = {
    "noisy": nn.Identity,
    "bm3d": BM3DDenoiser,
    "bm3d_vst": StabilizedBM3DDenoiser,
    "nlm": NonLocalMeansDenoiser,
}
"""Methods without weights: the noisy input itself, and, told the true noise level, BM3D, BM3D with stabilised variance
(which on noise other than speckle is BM3D) and non-local means."""


def reference_methods(names: Sequence[str]) -> dict[str, nn.Module]:
    """Build reference methods.

    Args:
        names: names in :data:`REFERENCES`.

    Returns:
        The methods by name, in that order.

    Raises:
        ValueError: when a name is unknown.
        ImportError: when a method's package is not installed.
    """
    for name in names:
        check_choice("reference", name, REFERENCES)
    return {name: REFERENCES[name]() for name in names}
