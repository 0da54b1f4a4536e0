# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Finding the full-dose partner of each low-dose CT slice by its place, and checks that their headers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ct_series import CTSlice
from .manifest import Problem

__all__ = ["CTPair", "find_pairs", "header_problem", "is_placed", "same_thickness"]

# Headers give places as rounded text. Slices of 0.5 mm, the thinnest taken, are five times as far apart.
SAME_PLACE_MM = 0.1
SAME_THICKNESS_MM = 0.01
SAME_DIRECTION = 1e-3
SAME_SPACING = 1e-3  # relative
THICKNESS_LIMITS_MM = (0.5, 5.0)
ADULT_YEARS = 18


@dataclass(frozen=True, eq=False)
class CTPair:
    """A low-dose slice and the full-dose slice of the same place.

    Attributes:
        low: the low-dose slice.
        full: its partner.
    """

    low: CTSlice
    full: CTSlice

    @property
    def place(self) -> float:
        """Place along the normal in millimeters."""
        return float(self.low.position @ self.low.normal)


def is_placed(slice_: CTSlice) -> bool:
    """Whether the header says where the slice lies."""
    return slice_.position is not None and slice_.axes is not None


def same_thickness(first: float | None, second: float | None) -> bool:
    """Whether two thicknesses in millimeters are one; two unknown ones are."""
    if first is None or second is None:
        return first is second
    return abs(first - second) <= SAME_THICKNESS_MM


def find_pairs(low: Sequence[CTSlice], full: Sequence[CTSlice]) -> tuple[list[CTPair], list[Problem]]:
    """Pair the slices of one patient by place, kernel and thickness; never by name or order.

    Args:
        low: low-dose slices with a place.
        full: full-dose slices with a place.

    Returns:
        The pairs, and for each low-dose slice without a partner the cause: ``missing``, ``wrong kernel``,
        ``wrong thickness`` or ``ambiguous``.
    """
    pairs: list[CTPair] = []
    problems: list[Problem] = []
    positions = np.array([slice_.position for slice_ in full]).reshape(-1, 3)
    for slice_ in low:
        distances = np.abs((positions - slice_.position) @ slice_.normal)
        found = _partner(slice_, [full[i] for i in np.flatnonzero(distances <= SAME_PLACE_MM)])
        if isinstance(found, CTSlice):
            pairs.append(CTPair(slice_, found))
            continue
        if found is None:
            nearest = f"; the nearest is {distances.min():.2f} mm away" if len(distances) else ""
            found = Problem("missing", str(slice_.path), f"no full-dose slice of this patient at its place{nearest}.")
        problems.append(found)
    return pairs, problems


def _partner(low: CTSlice, here: list[CTSlice]) -> CTSlice | Problem | None:
    """The one that fits among the full-dose slices of the same place; None where there is none at all."""
    if not here:
        return None
    path = str(low.path)
    same_kernel = [slice_ for slice_ in here if slice_.kernel == low.kernel]
    if not same_kernel:
        kernels = ", ".join(sorted({slice_.kernel or "unknown" for slice_ in here}))
        return Problem("wrong kernel", path, f"kernel {low.kernel or 'unknown'}, its full-dose partner has {kernels}.")
    fitting = [slice_ for slice_ in same_kernel if same_thickness(slice_.thickness, low.thickness)]
    if not fitting:
        others = ", ".join(sorted({_mm(slice_.thickness) for slice_ in same_kernel}))
        cause = f"SliceThickness {_mm(low.thickness)}, its full-dose partner has {others}."
        return Problem("wrong thickness", path, cause)
    # Reformats across the series may touch the same place.
    fitting = [slice_ for slice_ in fitting if _same_axes(slice_, low)] or fitting
    if len(fitting) > 1:
        names = ", ".join(str(slice_.path) for slice_ in fitting)
        return Problem("ambiguous", path, f"{len(fitting)} full-dose slices fit: {names}.")
    return fitting[0]


def header_problem(pair: CTPair, pediatric: bool = False) -> Problem | None:
    """Find what makes the headers of a pair unusable.

    Args:
        pair: the pair.
        pediatric: take patients under 18 years. Those of unknown age count as adults.

    Returns:
        The first cause found; None for a good pair.
    """
    for slice_ in (pair.low, pair.full):
        problem = _slice_problem(slice_, pediatric)
        if problem is not None:
            return problem
    low, full = pair.low, pair.full
    cause = _geometry_cause(low, full)
    if cause is not None:
        return Problem("geometry", str(low.path), f"{cause} of its partner {full.path}.")
    if low.has_contrast != full.has_contrast:
        with_, without = ("low", "full") if low.has_contrast else ("full", "low")
        return Problem("contrast", str(low.path), f"the {with_}-dose image has a contrast agent, the {without} not.")
    return None


def _slice_problem(slice_: CTSlice, pediatric: bool) -> Problem | None:
    path = str(slice_.path)
    least, most = THICKNESS_LIMITS_MM
    if not slice_.is_hounsfield:
        return Problem("not Hounsfield units", path, "it states no Rescale Slope and Intercept, or a unit but HU.")
    if not slice_.kernel:
        return Problem("wrong kernel", path, "it states no ConvolutionKernel.")
    if slice_.thickness is None or not least <= slice_.thickness <= most:
        return Problem("thickness", path, f"SliceThickness {_mm(slice_.thickness)}, not {least:g} to {most:g} mm.")
    if slice_.age is not None and slice_.age < ADULT_YEARS and not pediatric:
        return Problem("pediatric", path, f"the patient is under {ADULT_YEARS} years; --pediatric takes it.")
    return None


def _geometry_cause(low: CTSlice, full: CTSlice) -> str | None:
    """What differs between the low-dose slice and its partner, worded to precede "of its partner"."""
    if low.shape != full.shape:
        return f"{low.shape[0]} rows and {low.shape[1]} columns, not the {full.shape[0]} and {full.shape[1]}"
    if low.spacing is None or full.spacing is None:
        return "no PixelSpacing in its header or in that"
    if not np.allclose(low.spacing, full.spacing, rtol=SAME_SPACING, atol=0):
        return f"pixels of {_values(low.spacing)} mm, not the {_values(full.spacing)} mm"
    if not _same_axes(low, full):
        return "another orientation than that"
    if np.linalg.norm(low.position - full.position) > SAME_PLACE_MM:
        return f"origin at {_values(low.position)} mm, not at the {_values(full.position)} mm"
    return None


def _same_axes(first: CTSlice, second: CTSlice) -> bool:
    return bool(np.abs(first.axes - second.axes).max() <= SAME_DIRECTION)


def _mm(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g} mm"


def _values(vector: np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in vector)
