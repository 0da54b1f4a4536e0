# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers without a network, to be compared with: fitted on a fold's training pairs, or on nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...transforms.intensity import CT_RANGE
from .noise_power import residual_noise_std
from .regions import flat_regions
from .wiener import RadialWienerFilter

__all__ = ["REFERENCES", "fit_reference"]

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
Denoiser = Callable[[np.ndarray], np.ndarray]


def fit_reference(name: str, pairs: Pairs) -> Denoiser:
    """Make a reference denoiser.

    Args:
        name: one of :data:`REFERENCES`.
        pairs: low- and full-dose slices ``(H, W)`` in HU of one kernel, from the training patients.

    Returns:
        A function from a low-dose slice to the denoised one.

    Raises:
        ValueError: when the name is unknown, or the fold holds no pair of this kernel for a filter that is fitted.
        ImportError: when BM3D is asked for and not installed.
    """
    if name not in REFERENCES:
        raise ValueError(f"no reference {name!r}; there are {', '.join(REFERENCES)}.")
    return REFERENCES[name](pairs)


def _quarter_dose(pairs: Pairs) -> Denoiser:
    return lambda low: low


def _wiener(pairs: Pairs) -> Denoiser:
    if not pairs:
        raise ValueError("the Wiener filter is fitted on training pairs of the same kernel, and this fold has none.")
    return RadialWienerFilter.fit(pairs)


def _white_noise_denoiser(kind: str) -> Callable[[Pairs], Denoiser]:
    """BM3D and non-local means expect white noise: they are told the level that the slice's flat regions show."""

    def make(pairs: Pairs) -> Denoiser:
        if kind == "bm3d":
            from ..evaluation.references.bm3d import BM3DDenoiser as Reference
        else:
            from ..evaluation.references.nlm import NonLocalMeansDenoiser as Reference
        reference = Reference()
        bottom, top = CT_RANGE

        def denoise(low: np.ndarray) -> np.ndarray:
            regions = flat_regions(low, size=24)
            level = residual_noise_std(low, regions) if regions else float(np.std(low - np.median(low)))
            unit = (low - bottom) / (top - bottom)
            return reference.denoise(unit, level / (top - bottom)) * (top - bottom) + bottom

        return denoise

    return make


REFERENCES: dict[str, Callable[[Pairs], Denoiser]] = {
    "quarter_dose": _quarter_dose,
    "wiener": _wiener,
    "nlm": _white_noise_denoiser("nlm"),
    "bm3d": _white_noise_denoiser("bm3d"),
}
