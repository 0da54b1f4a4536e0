# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The sharpness of a slice's own edges: their spread function and transfer function, before and after denoising."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.signal import windows
from scipy.spatial import cKDTree

from .inputs import as_slice
from .regions import patient_outline, reconstruction_circle

__all__ = ["EdgeResponse", "Edges", "edge_response", "edge_sharpness_ratio", "find_edges"]

_BIN_PX = 0.25
_FREQUENCY_STEP = 0.005  # cycles/pixel
_LARGEST_FREQUENCY = 1.0  # cycles/pixel; the spread function is sampled four times a pixel, so 2 would be the limit
_LEAST_CONTRAST = 0.1  # of the full dose's; with less contrast there is no edge any more


@dataclass(frozen=True)
class Edges:
    """The pixels along strong, smooth edges of a slice, and their positions across the edges.

    Attributes:
        rows: row of every pixel, ``(M,)``.
        columns: column of every pixel.
        distance_px: signed distance of the pixel's center from the edge in pixels, positive on the bright side.
        low_hu: HU of the edge's dark side, at every pixel.
        contrast_hu: HU of its bright side less its dark side.
        reach_px: the largest distance of these pixels from the edge.
        shape: shape of the slice.
        points: the number of points on edges, about the length of all edges in pixels.
    """

    rows: np.ndarray
    columns: np.ndarray
    distance_px: np.ndarray
    low_hu: np.ndarray
    contrast_hu: np.ndarray
    reach_px: float
    shape: tuple[int, int]
    points: int


@dataclass(frozen=True)
class EdgeResponse:
    """The response of a slice at its edges, averaged over all of them.

    Attributes:
        distance_mm: distances across the edge, ``(D,)``.
        spread: the edge spread function at these distances: 0 on the dark side, 1 on the bright one.
        frequency: frequencies in cycles/mm, ``(F,)``, from 0.
        transfer: the task-based transfer function at these frequencies, 1 at 0. It includes the object's own edge; real
            organs are not ideal steps, so compare slices of the same object.
    """

    distance_mm: np.ndarray
    spread: np.ndarray
    frequency: np.ndarray
    transfer: np.ndarray

    @property
    def f50(self) -> float:
        """The frequency where the transfer function first falls to one half, in cycles/mm; NaN if it never does."""
        below = np.flatnonzero(self.transfer <= 0.5)
        if below.size == 0:
            return float("nan")
        pair = slice(below[0] - 1, below[0] + 1)
        return float(np.interp(0.5, self.transfer[pair][::-1], self.frequency[pair][::-1]))

    @property
    def rise_mm(self) -> float:
        """The distance over which the edge rises from 10 % to 90 %, in mm."""
        center = len(self.spread) // 2
        # Starting from the middle of the edge, so that noise on the plateaus does not count as a crossing.
        first = center - np.argmax(self.spread[center::-1] <= 0.1)
        last = center + np.argmax(self.spread[center:] >= 0.9)
        start = np.interp(0.1, self.spread[first : first + 2], self.distance_mm[first : first + 2])
        end = np.interp(0.9, self.spread[last - 1 : last + 1], self.distance_mm[last - 1 : last + 1])
        return float(end - start)


def find_edges(
    full: ArrayLike, contrast_hu: float = 200.0, smoothing_px: float = 2.0, reach_px: float = 8.0
) -> Edges:
    """Find the edges of a slice on which sharpness can be measured.

    Edges are located where the smoothed slice is steepest, to a fraction of a pixel. An edge is used when it is strong
    (skin to air, soft tissue to lung, thick bone), flat on both sides up to ``reach_px``, inside the reconstruction
    circle, and part of the patient, not of the table.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        contrast_hu: the smallest contrast of an edge in HU; with a few times the noise, edges are located to well below
            a tenth of a pixel.
        smoothing_px: standard deviation in pixels of the Gaussian filter for locating edges.
        reach_px: the distance on both sides from which pixels are used; at least 3 times ``smoothing_px``.

    Returns:
        The pixels along all edges; ``points`` is 0 if the slice has none.

    Raises:
        ValueError: when ``reach_px`` is below 3 times ``smoothing_px``, ``contrast_hu`` is not positive, and as
            :func:`noisewise.pipelines.low_dose_ct.inputs.as_slice`.
    """
    full = as_slice("full", full)
    if not reach_px >= 3 * smoothing_px > 0:
        raise ValueError(f"reach_px must be 3 times smoothing_px or more, got {reach_px} and {smoothing_px}.")
    if not contrast_hu > 0:
        raise ValueError(f"contrast_hu must be positive, got {contrast_hu}.")
    points, normals = _steepest_points(full, contrast_hu, smoothing_px)
    low, high, kept = _sides(full, points, normals, smoothing_px, reach_px)
    kept &= high - low >= contrast_hu
    points, normals, low, contrast = points[kept], normals[kept], low[kept], (high - low)[kept]

    pixels = np.argwhere(reconstruction_circle(full))
    if len(points) == 0:
        pixels = pixels[:0]
        nearest = np.zeros(0, dtype=int)
    else:
        apart, nearest = cKDTree(points).query(pixels, distance_upper_bound=reach_px + 1)
        pixels, nearest = pixels[np.isfinite(apart)], nearest[np.isfinite(apart)]
    offset = pixels - points[nearest]
    distance = (offset * normals[nearest]).sum(-1)
    # Beyond the end of a piece of edge, the nearest point is off to the side and its normal does not apply to the
    # pixel.
    aside = np.abs(offset[:, 0] * normals[nearest, 1] - offset[:, 1] * normals[nearest, 0])
    used = (np.abs(distance) <= reach_px) & (aside <= 1)
    pixels, nearest = pixels[used], nearest[used]
    return Edges(
        rows=pixels[:, 0],
        columns=pixels[:, 1],
        distance_px=distance[used],
        low_hu=low[nearest],
        contrast_hu=contrast[nearest],
        reach_px=float(reach_px),
        shape=full.shape,
        points=len(points),
    )


def edge_response(image: ArrayLike, edges: Edges, spacing_mm: float = 1.0) -> EdgeResponse:
    """Compute the edge spread function and the transfer function of a slice, averaged over its edges.

    The pixels of all edges are pooled by their distance from the edge in bins of a quarter pixel, weighted by the
    contrast of their edge, so that thousands of pixels average out the noise without interpolation. The derivative is
    the line spread function; its Fourier transform, corrected for the bins, is the transfer function.

    Args:
        image: a version of the slice that ``edges`` were found in, ``(H, W)`` in HU.
        edges: the result of :func:`find_edges` for the full-dose slice, the same for all versions of the slice.
        spacing_mm: pixel spacing; with 1, distances are in pixels and frequencies in cycles/pixel.

    Returns:
        The averaged edge; all NaN if the slice has lost nine tenths of the edges' contrast.

    Raises:
        ValueError: when there are no edges, the shapes differ, or ``spacing_mm`` is not positive.
    """
    image = as_slice("image", image)
    if image.shape != edges.shape:
        raise ValueError(f"image must have the shape {edges.shape} that the edges were found in, got {image.shape}.")
    if edges.points == 0:
        raise ValueError("There are no edges to measure sharpness on.")
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}.")

    half = int(edges.reach_px / _BIN_PX) - 1
    middles = np.arange(-half, half + 1) * _BIN_PX
    bins = np.rint(edges.distance_px / _BIN_PX).astype(int) + half
    inside = (bins >= 0) & (bins < middles.size)
    values = image[edges.rows, edges.columns] - edges.low_hu
    rise, weight = (
        np.bincount(bins[inside], x[inside], minlength=middles.size)
        for x in (edges.contrast_hu * values, edges.contrast_hu**2)
    )
    filled = weight > 0
    spread = np.interp(middles, middles[filled], rise[filled] / weight[filled])

    side = max(1, spread.size // 8)
    dark, bright = spread[:side].mean(), spread[-side:].mean()
    if bright - dark < _LEAST_CONTRAST:
        spread = np.full_like(spread, np.nan)

    line = np.diff(spread) * windows.tukey(spread.size - 1, 0.5)
    where = (middles[1:] + middles[:-1]) / 2
    frequency = np.arange(0, _LARGEST_FREQUENCY + _FREQUENCY_STEP / 2, _FREQUENCY_STEP)
    transfer = np.abs(np.exp(-2j * np.pi * frequency[:, None] * where) @ line)
    # A bin averages over its width, and the difference of two bins does so again.
    transfer = transfer / transfer[0] / np.sinc(frequency * _BIN_PX) ** 2

    return EdgeResponse(
        distance_mm=middles * spacing_mm,
        spread=(spread - dark) / (bright - dark),
        frequency=frequency / spacing_mm,
        transfer=transfer,
    )


def edge_sharpness_ratio(image: ArrayLike, reference: ArrayLike, edges: Edges) -> float:
    """Compare the sharpness of two versions of a slice on the same edges.

    Args:
        image: the slice to evaluate, ``(H, W)`` in HU.
        reference: the slice to compare with.
        edges: the result of :func:`find_edges` for the full-dose slice.

    Returns:
        f50 of the image's transfer function over f50 of the reference's: 1 if denoising keeps the edges, below 1
        if it blurs them, above 1 if it sharpens them. NaN if one of them has no f50.

    Raises:
        ValueError: as :func:`edge_response`.
    """
    return edge_response(image, edges).f50 / edge_response(reference, edges).f50


def _steepest_points(full: np.ndarray, contrast_hu: float, smoothing_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Locate points on the patient's edges to a fraction of a pixel, with normals to the bright side, ``(P, 2)``."""
    gradient = np.stack([ndimage.gaussian_filter(full, smoothing_px, order=order) for order in ((1, 0), (0, 1))], -1)
    steepness = np.hypot(gradient[..., 0], gradient[..., 1])
    # Half the steepness of a step of this contrast under this Gaussian, because the slice itself is blurred too.
    strong = steepness > contrast_hu / (np.sqrt(2 * np.pi) * smoothing_px) / 2
    strong &= ndimage.binary_dilation(patient_outline(full, smoothing_px), iterations=2)
    pixels = np.argwhere(strong)
    normals = gradient[strong] / steepness[strong][:, None]

    spline = ndimage.spline_filter(steepness)
    before, after = (
        ndimage.map_coordinates(spline, (pixels + step * normals).T, prefilter=False, mode="nearest")
        for step in (-1, 1)
    )
    # The vertex of the parabola through the three values, if it is a maximum and closest to this pixel; with some
    # tolerance, because an edge midway between two pixels is equally close to both.
    rise, curvature = after - before, 2 * steepness[strong] - before - after
    peak = (curvature > 0) & (np.abs(rise) <= 2 * 0.6 * curvature)
    shift = rise[peak] / (2 * curvature[peak])
    return pixels[peak] + shift[:, None] * normals[peak], normals[peak]


def _sides(
    full: np.ndarray, points: np.ndarray, normals: np.ndarray, smoothing_px: float, reach_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the HU of the dark and the bright side at every point, and whether both are flat and reconstructed."""
    steps = np.linspace(-reach_px, reach_px, 2 * int(np.ceil(reach_px)) + 1)
    where = points[:, :, None] + steps * normals[:, :, None]
    smooth = ndimage.gaussian_filter(full, smoothing_px)
    across = ndimage.map_coordinates(smooth, where.transpose(1, 0, 2), order=1, mode="nearest")
    dark, bright = across[:, steps <= -2.5 * smoothing_px], across[:, steps >= 2.5 * smoothing_px]
    low, high = dark.mean(1), bright.mean(1)
    contrast = high - low
    flat = (np.ptp(dark, axis=1) <= 0.2 * contrast) & (np.ptp(bright, axis=1) <= 0.2 * contrast)
    # Anything in between that is darker or brighter than both sides is a second edge.
    plain = (across.min(1) >= low - 0.2 * contrast) & (across.max(1) <= high + 0.2 * contrast)

    # One more pixel, for the corners of the pixels at the far end.
    reconstructed = np.pad(reconstruction_circle(full), 1)
    far = points[:, :, None] + np.array([-1, 1]) * (reach_px + 1) * normals[:, :, None] + 1
    far = np.clip(np.rint(far).astype(int), 0, np.array(reconstructed.shape)[:, None] - 1)
    return low, high, flat & plain & reconstructed[far[:, 0], far[:, 1]].all(1)
