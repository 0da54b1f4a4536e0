# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The detectability of low-contrast lesions for a channelized Hotelling observer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import eval_laguerre
from scipy.stats import rankdata

__all__ = ["Detectability", "area_under_curve", "hotelling_observer", "laguerre_gauss_channels"]


@dataclass(frozen=True)
class Detectability:
    """The performance of a model observer in a detection task.

    Attributes:
        auc: area under the ROC curve: 0.5 is guessing, 1 is certain.
        d_prime: distance of the two means of the observer's scores in units of their standard deviation; for Gaussian
            scores ``auc = Phi(d_prime / sqrt(2))``. It still separates conditions where the AUC is close to 1.
        present: the observer's score of each region with a lesion, ``(N,)``.
        absent: the score of each region without one.
    """

    auc: float
    d_prime: float
    present: np.ndarray
    absent: np.ndarray


def laguerre_gauss_channels(size: int, width_px: float, count: int = 5) -> np.ndarray:
    """Make channels for round signals at a known place.

    Gallas and Barrett, "Validating the use of channels to estimate the ideal linear observer", J Opt Soc Am A 20(9),
    2003: ``u_n(r) = sqrt(2)/a exp(-pi r^2/a^2) L_n(2 pi r^2/a^2)``, as in the FDA's LCD-CT toolbox.

    Args:
        size: side of the regions in pixels.
        width_px: a, in pixels; 1.5 times a disk's diameter suits the disk.
        count: how many channels.

    Returns:
        ``(count, size * size)``; nearly orthonormal if the region contains the channels and the pixels resolve them.

    Raises:
        ValueError: when an argument is not positive.
    """
    if size < 1 or count < 1 or not width_px > 0:
        raise ValueError(f"size, width_px and count must be positive, got {size}, {width_px} and {count}.")
    axis = np.arange(size) - (size - 1) / 2
    squared = 2 * np.pi * (axis[:, None] ** 2 + axis[None, :] ** 2).ravel() / width_px**2
    return np.stack([np.sqrt(2) / width_px * np.exp(-squared / 2) * eval_laguerre(n, squared) for n in range(count)])


def hotelling_observer(present: ArrayLike, absent: ArrayLike, channels: np.ndarray) -> Detectability:
    """Let a channelized Hotelling observer detect a lesion at a known place.

    The observer's template is ``S^-1 (mean present - mean absent)`` of the channels' outputs, S being the mean of the
    two classes' covariances. Each region is scored by a template that was made without it and without its partner, the
    region of the same index in the other class, because a template that scores its own training regions finds lesions
    in pure noise. Regions with and without the lesion that share their noise must therefore have the same index.

    Args:
        present: regions with the lesion in their middle, ``(N, size, size)`` in HU, after denoising if that is the
            question.
        absent: the same number of regions without it.
        channels: ``(count, size * size)``, as from :func:`laguerre_gauss_channels`.

    Returns:
        AUC and d', with the scores. Both are slightly too low, because the template is made from N - 1 regions per
        class; use at least ten times as many regions as channels.

    Raises:
        ValueError: when the classes differ in shape, do not fit the channels, have values that are not finite, have
            fewer than ``count + 2`` regions, or too little noise to separate the channels.
    """
    channels = np.asarray(channels, dtype=np.float64)
    present, absent = (np.asarray(x, dtype=np.float64) for x in (present, absent))
    if present.shape != absent.shape or present.ndim != 3 or present[0].size != channels.shape[-1]:
        raise ValueError(
            f"present and absent must have one shape, (N, size, size), with size * size = {channels.shape[-1]} as in "
            f"the channels, got {present.shape} and {absent.shape}."
        )
    count = len(present)
    if count < len(channels) + 2:
        raise ValueError(f"{len(channels)} channels need {len(channels) + 2} or more regions a class, got {count}.")
    if not (np.isfinite(present).all() and np.isfinite(absent).all()):
        raise ValueError("present and absent must have finite values only.")

    outputs = np.stack([x.reshape(count, -1) @ channels.T for x in (present, absent)])
    within = (outputs - outputs.mean(1, keepdims=True)).reshape(-1, len(channels))
    if np.linalg.matrix_rank(within) < len(channels):
        raise ValueError("The channels' outputs do not vary independently: the regions have too little noise.")
    scores = np.empty((2, count))
    for index in range(count):
        seen = np.delete(outputs, index, axis=1)
        means = seen.mean(1)
        centered = (seen - means[:, None]).reshape(-1, len(channels))
        covariance = centered.T @ centered / (2 * (count - 2))
        template = np.linalg.solve(covariance, means[0] - means[1])
        # Relative to the middle between the classes and in units of the template's own noise, so that scores of
        # different templates are comparable. Equal classes give a template of zeros.
        spread = np.sqrt(template @ covariance @ template)
        scores[:, index] = (outputs[:, index] - means.mean(0)) @ template / (spread or 1.0)

    difference, variance = scores[0].mean() - scores[1].mean(), scores.var(1, ddof=1).mean()
    return Detectability(
        auc=area_under_curve(*scores),
        d_prime=float(difference / np.sqrt(variance)) if variance > 0 else 0.0,
        present=scores[0],
        absent=scores[1],
    )


def area_under_curve(present: ArrayLike, absent: ArrayLike) -> float:
    """Compute the area under the ROC curve of two sets of scores.

    Args:
        present: scores of the cases with the lesion, ``(N,)``.
        absent: scores of the cases without it, ``(M,)``.

    Returns:
        The share of all pairs in which the case with the lesion scores higher, ties counting half.
    """
    present, absent = np.asarray(present), np.asarray(absent)
    ranks = rankdata(np.concatenate([present, absent]))[: present.size]
    return float((ranks.sum() - present.size * (present.size + 1) / 2) / (present.size * absent.size))
