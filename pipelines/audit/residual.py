# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit: is what a denoiser removed noise, or is anatomy in it?

What was removed ("method noise": Buades, Coll and Morel, "A review of image denoising algorithms, with a new one",
Multiscale Model. Simul. 4(2), 2005) should look like noise: neighbours independent, nothing of the image's structure
in it, and nowhere more of one sign than chance brings. Its *strength* may follow the image, as that of speckle does;
so each test divides by the local standard deviation first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

__all__ = ["Place", "ResidualAudit", "audit_residual", "significance_map", "summarize_audits"]

LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
# Standard deviations, in pixels, of the Gaussians that gather what was removed at a place.
SCALES = (1.5, 3.0, 6.0)
# The local standard deviation is that of a Gaussian window this wide: wider than what is looked for.
WINDOW = 8.0
# Structure is what lies between Gaussians of this and twice this many pixels (a difference of Gaussians: an edge has
# one sign on either side, as what is lost of it has).
STRUCTURE_SCALE = 2.0
# Where nearly nothing was removed (a dark background under speckle), a division by nearly nothing proves nothing.
SMALLEST_SHARE = 0.25
# Below this share of the image's largest value, what was removed is a rounding error.
ROUNDING = 1e-6

# The limits were set on training images (five modalities, Gaussian noise and speckle, sigma 5 to 50 of 255, the shipped
# network), so that about 1 in 100 honest residuals exceeds each; benchmarks/audit_thresholds.py measures the rates, and
# docs/audit.md states them for these and for other images.
SIGNIFICANCE_LIMITS = (11.0, 8.0, 7.5)
AUTOCORRELATION_LIMIT = 0.12
STRUCTURE_LIMIT = 0.14
BIAS_LIMIT = 0.1
# An effect must also be this many standard errors away from zero, which matters in small images.
STANDARD_ERRORS = 4.0
# With fewer pixels there are numbers but no verdict.
FEWEST_PIXELS = 256
MOST_PLACES = 20


@dataclass(frozen=True)
class Place:
    """Where more of one sign was removed than noise explains.

    Attributes:
        row: of its centre, in pixels.
        column: of its centre.
        scale: of the Gaussian that found it, in pixels; about half the radius of a disk.
        significance: how far beyond the limit it is, 1 being the limit; negative where darkness was removed.
    """

    row: int
    column: int
    scale: float
    significance: float


@dataclass(frozen=True)
class ResidualAudit:
    """What was removed from one image.

    Attributes:
        unit: of ``std``, ``robust_std`` and ``mean``; ``""`` when unknown.
        std: standard deviation of what was removed: an estimate of the noise level.
        robust_std: the same from the median absolute deviation, which a few lost structures hardly move.
        mean: the shift of the image's brightness.
        autocorrelation: between pixels at the distances :data:`LAGS` (rows, columns), after division by the local
            standard deviation; 0 for white noise.
        largest_autocorrelation: the greatest of these.
        structure_correlation: between what was removed and the denoised image's edges and details (the largest of a
            colour image's channels); positive when structure was removed.
        places: where more of one sign was removed than noise explains, the clearest first, at most 20.
        warnings: what is suspicious, in words; empty when nothing is.
    """

    unit: str
    std: float
    robust_std: float
    mean: float
    autocorrelation: tuple[float, ...]
    largest_autocorrelation: float
    structure_correlation: float
    places: tuple[Place, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The audit as numbers, strings, lists and dictionaries, ready for JSON."""
        values = asdict(self)
        return {**values, **{key: list(value) for key, value in values.items() if isinstance(value, tuple)}}


def audit_residual(
    noisy: np.ndarray,
    removed: np.ndarray,
    unit: str = "",
    frozen: np.ndarray | None = None,
    correlated_noise: bool = False,
) -> ResidualAudit:
    """Audit what was removed from an image.

    Args:
        noisy: ``(H, W)`` or ``(H, W, 3)``, finite.
        removed: noisy minus denoised, of the same shape.
        unit: of the values, such as ``"HU"``.
        frozen: ``(H, W)``, True where a pixel is no image and is left out; None for nowhere.
        correlated_noise: whether the noise itself is correlated between pixels, as CT's is by its reconstruction
            kernel: then there is no warning that neighbouring pixels are alike.

    Returns:
        The audit.

    Raises:
        ValueError: when a shape is wrong or a value that counts is not finite.
    """
    channels, residuals, valid = _prepare(noisy, removed, frozen)
    values = residuals[:, valid]
    if values.size == 0:
        return ResidualAudit(unit, 0.0, 0.0, 0.0, (0.0,) * len(LAGS), 0.0, 0.0, (), ())
    std, mean = float(values.std()), float(values.mean())
    robust = float(1.4826 * np.median(np.abs(values - np.median(values))))
    rounding = ROUNDING * float(np.abs(channels[:, valid]).max())
    if std <= rounding:
        shifted = abs(mean) > rounding and valid.sum() >= FEWEST_PIXELS
        warnings = (_bias_text(mean, unit),) if shifted else ()
        return ResidualAudit(unit, std, robust, mean, (0.0,) * len(LAGS), 0.0, 0.0, (), warnings)

    white = [_normalise(residual, valid) for residual in residuals]
    correlations = tuple(float(np.mean([_autocorrelation(each, valid, lag) for each in white])) for lag in LAGS)
    pairs = zip(white, channels - residuals)
    structure = max((_structure_correlation(each, image, valid) for each, image in pairs), key=lambda pair: pair[0])
    pixels = int(valid.sum())
    places: tuple[Place, ...] = ()
    warnings = []
    if pixels >= FEWEST_PIXELS:
        places = _find_places(*_significance(white, valid))
        if abs(mean) > BIAS_LIMIT * std and abs(mean) * pixels**0.5 > STANDARD_ERRORS * std:
            warnings.append(_bias_text(mean, unit))
        alike = max(correlations) > max(AUTOCORRELATION_LIMIT, STANDARD_ERRORS / pixels**0.5)
        if alike and not correlated_noise:
            warnings.append(
                f"neighbouring pixels of what was removed are alike (correlation {max(correlations):.2f}): "
                "structure was removed, or the scanner's noise is correlated"
            )
        if structure[0] > STRUCTURE_LIMIT and structure[1] > STANDARD_ERRORS:
            warnings.append(
                f"what was removed follows the image's edges and details (correlation {structure[0]:.2f}): "
                "the image was smoothed too much"
            )
        if places:
            first = places[0]
            count = f"{'at least ' if len(places) == MOST_PLACES else ''}{len(places)} place(s)"
            warnings.append(
                f"more of one sign was removed than noise explains at {count}, the clearest at row {first.row}, "
                f"column {first.column}: compare with the noisy image there"
            )
    return ResidualAudit(
        *(unit, std, robust, mean, correlations, max(correlations), structure[0], places, tuple(warnings))
    )


def significance_map(noisy: np.ndarray, removed: np.ndarray, frozen: np.ndarray | None = None) -> np.ndarray:
    """How far what was removed around each pixel lies from zero, 1 being the limit, signed.

    The residual, less its mean and divided by its local standard deviation, is smoothed by Gaussians of
    :data:`SCALES` and divided by the standard deviation that white noise has after that (or by its own where that is
    larger, so that correlated noise is measured by itself). Of the scales the one furthest beyond its limit counts.

    Args:
        noisy: as for :func:`audit_residual`, as are all others.
        removed: noisy minus denoised.
        frozen: pixels to leave out.

    Returns:
        ``(H, W)``, float64; 0 everywhere when nothing was removed.
    """
    channels, residuals, valid = _prepare(noisy, removed, frozen)
    if not valid.any() or residuals[:, valid].std() <= ROUNDING * np.abs(channels[:, valid]).max():
        return np.zeros(valid.shape)
    return _significance([_normalise(residual, valid) for residual in residuals], valid)[0]


def summarize_audits(audits: Sequence[ResidualAudit]) -> dict[str, Any]:
    """Sum up the audits of a volume's slices.

    Args:
        audits: one a slice, in one unit.

    Returns:
        Ready for JSON: ``slices``; ``unit``; ``std`` (root mean square over slices), ``largest_std``, ``mean``;
        ``largest_autocorrelation`` and ``structure_correlation`` (medians over slices); ``slices_with_warnings``
        and ``places`` (counts); ``worst_slice``: the index of the slice with the most to look at, None when no slice
        has a warning; ``warnings``: in words, with the number of slices that have it.
    """
    suspicious = [index for index, audit in enumerate(audits) if audit.warnings]
    kinds = Counter(warning.split(" (")[0].split(" at ")[0] for audit in audits for warning in audit.warnings)

    def strength(index: int) -> tuple[int, float]:
        audit = audits[index]
        return len(audit.warnings), max((abs(place.significance) for place in audit.places), default=0.0)

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else 0.0

    stds = [audit.std for audit in audits]
    return {
        "slices": len(audits),
        "unit": audits[0].unit if audits else "",
        "std": float(np.sqrt(np.mean(np.square(stds)))) if stds else 0.0,
        "largest_std": max(stds, default=0.0),
        "mean": float(np.mean([audit.mean for audit in audits])) if audits else 0.0,
        "largest_autocorrelation": median([audit.largest_autocorrelation for audit in audits]),
        "structure_correlation": median([audit.structure_correlation for audit in audits]),
        "slices_with_warnings": len(suspicious),
        "places": sum(len(audit.places) for audit in audits),
        "worst_slice": max(suspicious, key=strength, default=None),
        "warnings": [f"{kind}: {count} of {len(audits)} slices" for kind, count in kinds.items()],
    }


def _prepare(
    noisy: np.ndarray, removed: np.ndarray, frozen: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image and residual as (C, H, W), and where they count."""
    if noisy.shape != removed.shape or noisy.ndim not in (2, 3) or (noisy.ndim == 3 and noisy.shape[2] != 3):
        raise ValueError(f"expected two arrays (H, W) or (H, W, 3), got {noisy.shape} and {removed.shape}.")
    valid = np.ones(noisy.shape[:2], bool) if frozen is None else ~np.asarray(frozen, bool)
    if valid.shape != noisy.shape[:2]:
        raise ValueError(f"the frozen pixels have shape {valid.shape}, the image has {noisy.shape[:2]}.")
    planes = []
    for array in (noisy, removed):
        array = np.asarray(array, np.float64)
        array = np.moveaxis(array, -1, 0) if array.ndim == 3 else array[None]
        if not np.isfinite(array[:, valid]).all():
            raise ValueError("the image or what was removed holds NaN or infinite values.")
        planes.append(array)
    # What does not count is 0 in the residual and ordinary in the image, so that it makes no edge of its own.
    fill = np.array([plane[valid].mean() if valid.any() else 0.0 for plane in planes[0]])
    return np.where(valid, planes[0], fill[:, None, None]), np.where(valid, planes[1], 0.0), valid


def _bias_text(mean: float, unit: str) -> str:
    return f"the brightness was shifted: the mean of what was removed is {mean:.3g} {unit}".rstrip()


def _smooth(values: np.ndarray, sigma: float, mode: str = "constant") -> np.ndarray:
    return ndimage.gaussian_filter(values, sigma, mode=mode)


def _normalise(residual: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """One channel's residual, less its mean, divided by its local standard deviation; 0 where it does not count."""
    centred = np.where(valid, residual - residual[valid].mean(), 0.0)
    overall = centred[valid].std()
    if overall == 0:
        return centred
    weights = np.maximum(_smooth(valid.astype(np.float64), WINDOW), 1e-12)
    local = np.sqrt(_smooth(centred**2, WINDOW) / weights)
    return centred / np.maximum(local, SMALLEST_SHARE * overall)


def _autocorrelation(white: np.ndarray, valid: np.ndarray, lag: tuple[int, int]) -> float:
    rows, columns = lag
    height, width = white.shape
    first, second = np.s_[: height - rows, : width - columns], np.s_[rows:, columns:]
    if height <= rows or width <= columns:
        return 0.0
    both = valid[first] & valid[second]
    variance = white[valid].var()
    if not both.any() or variance == 0:
        return 0.0
    centred = white - white[valid].mean()
    return float((centred[first] * centred[second])[both].mean() / variance)


def _structure_correlation(white: np.ndarray, denoised: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """The correlation, and how many standard errors it is from zero (White's, right for a varying variance)."""
    fine, coarse = (_smooth(denoised, scale * STRUCTURE_SCALE, "reflect") for scale in (1, 2))
    products = (white * (fine - coarse))[valid]
    size = float(np.sqrt(np.mean(white[valid] ** 2) * np.mean((fine - coarse)[valid] ** 2)))
    error = float(np.sqrt(np.sum(products**2)))
    # A flat image has no structure but rounding errors.
    if size <= ROUNDING * float(np.abs(denoised).max()) or error == 0:
        return 0.0, 0.0
    return float(products.mean()) / size, float(products.sum()) / error


def _significance(white: list[np.ndarray], valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The signed map relative to the limits, and the scale that each pixel's value comes from."""
    best, scales = np.zeros(valid.shape), np.full(valid.shape, SCALES[0])
    counts = valid.astype(np.float64)
    for scale, limit in zip(SCALES, SIGNIFICANCE_LIMITS):
        impulse = np.zeros(8 * int(np.ceil(scale)) + 1)
        impulse[len(impulse) // 2] = 1
        whole = np.sum(np.square(ndimage.gaussian_filter1d(impulse, scale)))
        # The sum of the squared weights; at borders and beside frozen pixels fewer weights take part.
        expected = whole * np.sqrt(np.maximum(_smooth(counts, scale / np.sqrt(2)), 0.05))
        for each in white:
            z = np.where(valid, _smooth(each, scale) / expected, 0.0)
            spread = 1.4826 * np.median(np.abs(z[valid] - np.median(z[valid])))
            relative = z / (max(1.0, spread) * limit)
            better = np.abs(relative) > np.abs(best)
            best, scales = np.where(better, relative, best), np.where(better, scale, scales)
    return best, scales


def _find_places(relative: np.ndarray, scales: np.ndarray) -> tuple[Place, ...]:
    """The peaks of the regions beyond the limit, each sign for itself."""
    places = []
    for sign in (1, -1):
        labels, count = ndimage.label(sign * relative > 1)
        peaks = ndimage.maximum_position(sign * relative, labels, range(1, count + 1)) if count else []
        for row, column in peaks:
            scale, value = float(scales[row, column]), float(relative[row, column])
            places.append(Place(int(row), int(column), scale, value))
    return tuple(sorted(places, key=lambda place: -abs(place.significance))[:MOST_PLACES])
