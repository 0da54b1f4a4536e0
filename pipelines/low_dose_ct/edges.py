# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The sharpness of a slice's own edges: their spread function, its transfer function, and what denoising does to it."""

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
_LEAST_CONTRAST = 0.1  # of the full dose's; what is left below that is no edge any more


@dataclass(frozen=True)
class Edges:
    """The pixels along strong, smooth edges of a slice, and where each lies across its edge.

    Attributes:
        rows: row of every pixel, ``(M,)``.
        columns: column of every pixel.
        distance_px: signed distance of the pixel's center from the edge in pixels, positive on the bright side.
        low_hu: HU of the edge's dark side, at every pixel.
        contrast_hu: HU of its bright side less its dark side.
        reach_px: the largest distance that pixels are taken from.
        shape: shape of the slice.
        points: how many points on edges the pixels belong to, about the length of all edges in pixels.
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
    """How a slice renders its edges, averaged over all of them.

    Attributes:
        distance_mm: distance across the edge, ``(D,)``.
        spread: the edge spread function there: 0 on the dark side, 1 on the bright one.
        frequency: frequencies in cycles/mm, ``(F,)``, from 0.
        transfer: the task-based transfer function there, 1 at 0. It holds the object's own edge: real organs are not
            ideal steps, so compare slices of the same object.
    """

    distance_mm: np.ndarray
    spread: np.ndarray
    frequency: np.ndarray
    transfer: np.ndarray

    @property
    def f50(self) -> float:
        """Where the transfer function first falls to one half, in cycles/mm; NaN where it never does."""
        below = np.flatnonzero(self.transfer <= 0.5)
        if below.size == 0:
            return float("nan")
        pair = slice(below[0] - 1, below[0] + 1)
        return float(np.interp(0.5, self.transfer[pair][::-1], self.frequency[pair][::-1]))

    @property
    def rise_mm(self) -> float:
        """The distance over which the edge rises from 10 % to 90 %, in mm."""
        center = len(self.spread) // 2
        # Seen from the middle of the edge, so that noise on the plateaus is no crossing.
        first = center - np.argmax(self.spread[center::-1] <= 0.1)
        last = center + np.argmax(self.spread[center:] >= 0.9)
        start = np.interp(0.1, self.spread[first : first + 2], self.distance_mm[first : first + 2])
        end = np.interp(0.9, self.spread[last - 1 : last + 1], self.distance_mm[last - 1 : last + 1])
        return float(end - start)


def find_edges(
    full: ArrayLike, contrast_hu: float = 200.0, smoothing_px: float = 2.0, reach_px: float = 8.0
) -> Edges:
    """Find the edges of a slice on which sharpness can be measured.

    Edges are where the smoothed slice is steepest, to a fraction of a pixel. One is taken when it is strong (skin to
    air, soft tissue to lung, thick bone), flat on both sides as far as ``reach_px``, inside the reconstruction circle,
    and the patient's: the table is left out.

    Args:
        full: the full-dose slice, ``(H, W)`` in HU.
        contrast_hu: the least contrast of an edge in HU; at a few times the noise, edges are located to well below a
            tenth of a pixel.
        smoothing_px: standard deviation in pixels of the Gaussian under which edges are located.
        reach_px: how far on both sides pixels are taken; at least 3 times ``smoothing_px``.

    Returns:
        The pixels along all edges; with ``points`` 0 where the slice has none.

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
    # Beyond the end of a piece of edge, the nearest point lies aside and its normal says nothing about the pixel.
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
    """Average a slice over its edges to their spread function and its transfer function.

    The pixels of all edges are pooled by their distance from the edge in bins of a quarter pixel, strong edges counting
    more, so that thousands of pixels take the noise away and no pixel is interpolated. The derivative is the line
    spread function; its Fourier transform, with the loss by the bins undone, is the transfer function.

    Args:
        image: a slice of the object that ``edges`` were found in, ``(H, W)`` in HU.
        edges: from :func:`find_edges` of the full-dose slice, for all versions of the slice alike.
        spacing_mm: pixel spacing; with 1, distances come in pixels and frequencies in cycles/pixel.

    Returns:
        The averaged edge; all NaN where the slice has lost nine tenths of the edges' contrast, and so the edges.

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
    # A bin averages over its width, and the difference of two bins does so once more.
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
        image: the slice to judge, ``(H, W)`` in HU.
        reference: the slice to compare with.
        edges: from :func:`find_edges` of the full-dose slice.

    Returns:
        f50 of the image's transfer function over f50 of the reference's: 1 where denoising keeps the edges, below 1
        where it blurs them, above 1 where it sharpens them. NaN where one of them has no f50.

    Raises:
        ValueError: as :func:`edge_response`.
    """
    return edge_response(image, edges).f50 / edge_response(reference, edges).f50


def _steepest_points(full: np.ndarray, contrast_hu: float, smoothing_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on the patient's edges to a fraction of a pixel, and the normals toward the bright side, ``(P, 2)``."""
    gradient = np.stack([ndimage.gaussian_filter(full, smoothing_px, order=order) for order in ((1, 0), (0, 1))], -1)
    steepness = np.hypot(gradient[..., 0], gradient[..., 1])
    # Half of what a step of this contrast has under this Gaussian: the slice itself is blurred too.
    strong = steepness > contrast_hu / (np.sqrt(2 * np.pi) * smoothing_px) / 2
    strong &= ndimage.binary_dilation(patient_outline(full, smoothing_px), iterations=2)
    pixels = np.argwhere(strong)
    normals = gradient[strong] / steepness[strong][:, None]

    spline = ndimage.spline_filter(steepness)
    before, after = (
        ndimage.map_coordinates(spline, (pixels + step * normals).T, prefilter=False, mode="nearest")
        for step in (-1, 1)
    )
    # The vertex of the parabola through the three, where that is a maximum and lies nearest to this pixel; with some
    # room, as an edge midway between two pixels is as near to both.
    rise, curvature = after - before, 2 * steepness[strong] - before - after
    peak = (curvature > 0) & (np.abs(rise) <= 2 * 0.6 * curvature)
    shift = rise[peak] / (2 * curvature[peak])
    return pixels[peak] + shift[:, None] * normals[peak], normals[peak]


def _sides(
    full: np.ndarray, points: np.ndarray, normals: np.ndarray, smoothing_px: float, reach_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU of the dark and the bright side at every point, and whether both are flat and reconstructed."""
    steps = np.linspace(-reach_px, reach_px, 2 * int(np.ceil(reach_px)) + 1)
    where = points[:, :, None] + steps * normals[:, :, None]
    smooth = ndimage.gaussian_filter(full, smoothing_px)
    across = ndimage.map_coordinates(smooth, where.transpose(1, 0, 2), order=1, mode="nearest")
    dark, bright = across[:, steps <= -2.5 * smoothing_px], across[:, steps >= 2.5 * smoothing_px]
    low, high = dark.mean(1), bright.mean(1)
    contrast = high - low
    flat = (np.ptp(dark, axis=1) <= 0.2 * contrast) & (np.ptp(bright, axis=1) <= 0.2 * contrast)
    # Anything on the way that is darker or brighter than both sides is a second edge.
    plain = (across.min(1) >= low - 0.2 * contrast) & (across.max(1) <= high + 0.2 * contrast)

    # One pixel more, for the corners of the pixels at the far end.
    reconstructed = np.pad(reconstruction_circle(full), 1)
    far = points[:, :, None] + np.array([-1, 1]) * (reach_px + 1) * normals[:, :, None] + 1
    far = np.clip(np.rint(far).astype(int), 0, np.array(reconstructed.shape)[:, None] - 1)
    return low, high, flat & plain & reconstructed[far[:, 0], far[:, 1]].all(1)
