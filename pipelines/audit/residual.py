# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit: did a denoiser remove noise only, or anatomy too?

The removed part ("method noise": Buades, Coll and Morel, "A review of image denoising algorithms, with a new one",
Multiscale Model. Simul. 4(2), 2005) should look like noise: neighboring pixels are independent, nothing follows the
image's structure, and nowhere is there more of one sign than chance explains. Its *strength* may follow the image, as
that of speckle does, so each test first divides by the local standard deviation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

__all__ = ["Place", "ResidualAudit", "at_full_strength", "audit_residual", "significance_map", "summarize_audits"]

LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
# Standard deviations, in pixels, of the Gaussians that sum up the residual around a place.
SCALES = (1.5, 3.0, 6.0)
# Standard deviation, in pixels, of the Gaussian window for the local standard deviation: wider than the structures that
# the audit looks for.
WINDOW = 8.0
# Structure is the difference of Gaussians of this and twice this many pixels: an edge has one sign on either side, and
# so has its lost part.
STRUCTURE_SCALE = 2.0
# Where almost nothing was removed (a dark background under speckle), dividing by almost nothing proves nothing.
SMALLEST_SHARE = 0.25
# Below this share of the image's largest value, the residual is a rounding error.
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
# With fewer pixels there are numbers, but no warnings.
FEWEST_PIXELS = 256
MOST_PLACES = 20


@dataclass(frozen=True)
class Place:
    """A place where more of one sign was removed than noise explains.

    Attributes:
        row: row of its center, in pixels.
        column: column of its center.
        scale: standard deviation of the Gaussian that found it, in pixels; about half the radius of a disk.
        significance: 1 is the limit; negative where a dark structure was removed.
    """

    row: int
    column: int
    scale: float
    significance: float


@dataclass(frozen=True)
class ResidualAudit:
    """The audit of one image.

    Attributes:
        unit: unit of ``std``, ``robust_std`` and ``mean``; ``""`` if unknown.
        std: standard deviation of the residual, an estimate of the noise level.
        robust_std: the same from the median absolute deviation, which a few lost structures hardly change.
        mean: mean of the residual, the shift of the image's brightness.
        autocorrelation: correlation between pixels at the distances :data:`LAGS` (rows, columns), after division by the
            local standard deviation; 0 for white noise.
        largest_autocorrelation: the largest of these.
        structure_correlation: correlation of the residual with edges and details of the denoised image (the largest of
            a color image's channels); positive if structure was removed.
        places: places where more of one sign was removed than noise explains, the clearest first, at most 20.
        warnings: suspicious findings in words; empty if there are none.
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
        """The audit as values that JSON can hold."""
        values = asdict(self)
        return {**values, **{key: list(value) for key, value in values.items() if isinstance(value, tuple)}}


def at_full_strength(removed: np.ndarray, strength: float) -> np.ndarray:
    """The part that full strength would have removed.

    At a strength below 1 the denoised image still holds noise, and the same noise is in the removed part: the two
    correlate, although no structure was lost. An audit therefore judges the full removed part, whose difference from
    the noisy image is the fully denoised image.

    Args:
        removed: noisy minus denoised, of any shape.
        strength: the strength at which it was removed, from 0 to 1.

    Returns:
        ``removed / strength``; ``removed`` itself for the strengths 1 and 0 (which removes nothing).

    Raises:
        ValueError: if the strength is not between 0 and 1.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie in [0, 1], got {strength}.")
    return removed if strength in (0.0, 1.0) else removed / np.float32(strength)


def audit_residual(
    noisy: np.ndarray,
    removed: np.ndarray,
    unit: str = "",
    frozen: np.ndarray | None = None,
    correlated_noise: bool = False,
) -> ResidualAudit:
    """Audit the noise that was removed from an image.

    Args:
        noisy: ``(H, W)`` or ``(H, W, 3)``, finite.
        removed: noisy minus denoised, of the same shape; see :func:`at_full_strength` for a strength below 1.
        unit: unit of the values, such as ``"HU"``.
        frozen: ``(H, W)``, True for pixels to leave out, which are not part of the image; None leaves out none.
        correlated_noise: whether the noise itself is correlated between pixels, as in CT by its reconstruction kernel;
            then there is no warning that neighboring pixels are alike.

    Returns:
        The audit.

    Raises:
        ValueError: if a shape is wrong, or a value that is not left out is not finite.
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

    white = [_normalize(residual, valid) for residual in residuals]
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
                f"neighboring pixels of the removed part are alike (correlation {max(correlations):.2f}): "
                "structure was removed, or the scanner's noise is correlated"
            )
        if structure[0] > STRUCTURE_LIMIT and structure[1] > STANDARD_ERRORS:
            warnings.append(
                f"the removed part follows the image's edges and details (correlation {structure[0]:.2f}): "
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
    """The significance of the residual around each pixel: signed, 1 is the limit.

    The residual, less its mean and divided by its local standard deviation, is smoothed by Gaussians of
    :data:`SCALES` and divided by the standard deviation that white noise has after smoothing, or by its own if that is
    larger, so that correlated noise is measured by itself. The scale furthest beyond its limit counts.

    Args:
        noisy: see :func:`audit_residual`.
        removed: noisy minus denoised.
        frozen: pixels to leave out.

    Returns:
        ``(H, W)``, float64; 0 everywhere if nothing was removed.
    """
    channels, residuals, valid = _prepare(noisy, removed, frozen)
    if not valid.any() or residuals[:, valid].std() <= ROUNDING * np.abs(channels[:, valid]).max():
        return np.zeros(valid.shape)
    return _significance([_normalize(residual, valid) for residual in residuals], valid)[0]


def summarize_audits(audits: Sequence[ResidualAudit]) -> dict[str, Any]:
    """Summarize the audits of a volume's slices.

    Args:
        audits: one per slice, in one unit.

    Returns:
        Values that JSON can hold: ``slices``; ``unit``; ``std`` (root mean square over slices), ``largest_std``,
        ``mean``; ``largest_autocorrelation`` and ``structure_correlation`` (medians over slices);
        ``slices_with_warnings`` and ``places`` (counts); ``worst_slice``: the index of the slice that needs the most
        attention, None if no slice has a warning; ``warnings``: in words, with the number of slices that have them.
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
    """Image and residual as (C, H, W), and a mask of the pixels that count."""
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
            raise ValueError("the image or the removed part holds NaN or infinite values.")
        planes.append(array)
    # Pixels that do not count are 0 in the residual and average in the image, so that they make no edges.
    fill = np.array([plane[valid].mean() if valid.any() else 0.0 for plane in planes[0]])
    return np.where(valid, planes[0], fill[:, None, None]), np.where(valid, planes[1], 0.0), valid


def _bias_text(mean: float, unit: str) -> str:
    return f"the brightness was shifted: the mean of the removed part is {mean:.3g} {unit}".rstrip()


def _smooth(values: np.ndarray, sigma: float, mode: str = "constant") -> np.ndarray:
    return ndimage.gaussian_filter(values, sigma, mode=mode)


def _normalize(residual: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """One channel's residual, less its mean, divided by the local standard deviation; 0 outside ``valid``."""
    centered = np.where(valid, residual - residual[valid].mean(), 0.0)
    overall = centered[valid].std()
    if overall == 0:
        return centered
    weights = np.maximum(_smooth(valid.astype(np.float64), WINDOW), 1e-12)
    local = np.sqrt(_smooth(centered**2, WINDOW) / weights)
    return centered / np.maximum(local, SMALLEST_SHARE * overall)


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
    centered = white - white[valid].mean()
    return float((centered[first] * centered[second])[both].mean() / variance)


def _structure_correlation(white: np.ndarray, denoised: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """The correlation, and its distance from zero in standard errors (White's, as the variance varies)."""
    fine, coarse = (_smooth(denoised, scale * STRUCTURE_SCALE, "reflect") for scale in (1, 2))
    products = (white * (fine - coarse))[valid]
    size = float(np.sqrt(np.mean(white[valid] ** 2) * np.mean((fine - coarse)[valid] ** 2)))
    error = float(np.sqrt(np.sum(products**2)))
    # The only structure of a flat image are rounding errors.
    if size <= ROUNDING * float(np.abs(denoised).max()) or error == 0:
        return 0.0, 0.0
    return float(products.mean()) / size, float(products.sum()) / error


def _significance(white: list[np.ndarray], valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The signed map relative to the limits, and the scale of each pixel's value."""
    best, scales = np.zeros(valid.shape), np.full(valid.shape, SCALES[0])
    counts = valid.astype(np.float64)
    for scale, limit in zip(SCALES, SIGNIFICANCE_LIMITS):
        impulse = np.zeros(8 * int(np.ceil(scale)) + 1)
        impulse[len(impulse) // 2] = 1
        whole = np.sum(np.square(ndimage.gaussian_filter1d(impulse, scale)))
        # The sum of the squared weights; fewer weights take part at borders and beside frozen pixels.
        expected = whole * np.sqrt(np.maximum(_smooth(counts, scale / np.sqrt(2)), 0.05))
        for each in white:
            z = np.where(valid, _smooth(each, scale) / expected, 0.0)
            spread = 1.4826 * np.median(np.abs(z[valid] - np.median(z[valid])))
            relative = z / (max(1.0, spread) * limit)
            better = np.abs(relative) > np.abs(best)
            best, scales = np.where(better, relative, best), np.where(better, scale, scales)
    return best, scales


def _find_places(relative: np.ndarray, scales: np.ndarray) -> tuple[Place, ...]:
    """The peaks of the regions beyond the limit, for each sign."""
    places = []
    for sign in (1, -1):
        labels, count = ndimage.label(sign * relative > 1)
        peaks = ndimage.maximum_position(sign * relative, labels, range(1, count + 1)) if count else []
        for row, column in peaks:
            scale, value = float(scales[row, column]), float(relative[row, column])
            places.append(Place(int(row), int(column), scale, value))
    return tuple(sorted(places, key=lambda place: -abs(place.significance))[:MOST_PLACES])
