# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of typical images of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .evaluator import ComparisonEvaluator
from .picture import PictureRow, picture_grid

__all__ = ["draw_examples", "median_images"]


def median_images(rows: pd.DataFrame, method: str, pattern: str, sigma: float) -> dict[str, str]:
    """Find the typical image of each modality: the one with the (lower) median PSNR.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.
        method: the method whose PSNR decides.
        pattern: the noise pattern.
        sigma: the standard deviation of the noise.

    Returns:
        The ``image_id`` for each modality that has rows of this condition, in alphabetical order.
    """
    chosen = rows[(rows["method"] == method) & (rows["pattern"] == pattern) & (rows["sigma"] == sigma)]
    typical = {}
    for modality, group in chosen.groupby("modality", sort=True):
        # Ties are broken by name, so that the choice never depends on the order of the rows.
        ranked = group.sort_values(["psnr", "image_id"])["image_id"]
        typical[modality] = ranked.iloc[(len(ranked) - 1) // 2]
    return typical


def draw_examples(
    evaluator: ComparisonEvaluator,
    path: str | os.PathLike,
    sigma: float | None = None,
    patterns: Sequence[str] | None = None,
    zoom: int | None = None,
) -> Path:
    """Draw a typical image of each modality, as every method of an evaluation denoises it.

    For each modality and pattern, this draws the image that has the median PSNR under the evaluator's first method,
    with the noise that was scored, denoised by all methods. Call it after the evaluator has run.

    Args:
        evaluator: an evaluator that has run.
        path: the PNG to write.
        sigma: standard deviation of the noise; None takes the evaluated one that is closest to 25.
        patterns: noise patterns; None takes Gaussian and speckle noise, or the first pattern if neither was evaluated.
        zoom: show only the center square of this many pixels a side; None for whole images.

    Returns:
        ``path``.

    Raises:
        ValueError: when the evaluator has no scores for that condition.
    """
    conditions = evaluator.conditions.dataset.data
    known_sigmas = sorted({float(item["noise"]["std"]) for item in conditions})
    known_patterns = list(dict.fromkeys(item["noise"]["pattern"] for item in conditions))
    sigma = min(known_sigmas, key=lambda value: abs(value - 25)) if sigma is None else float(sigma)
    if patterns is None:
        patterns = [name for name in known_patterns if name in ("gaussian", "speckle")] or known_patterns[:1]
    first = next(iter(evaluator.methods))
    own = {item["image_id"] for item in conditions}
    rows = evaluator.table.rows()
    rows = rows[rows["image_id"].isin(own)]
    chosen = [
        (modality, pattern, image_id)
        for pattern in patterns
        for modality, image_id in median_images(rows, first, pattern, sigma).items()
    ]
    if not chosen:
        raise ValueError(f"no scores of '{first}' for {', '.join(patterns)} at sigma {sigma:g} to choose from.")
    picture_rows = []
    for modality, pattern, image_id in sorted(chosen):
        index = _index_of(conditions, image_id, pattern, sigma)
        picture_rows.append(_row(evaluator, index, f"{modality}, {pattern} {sigma:g}"))
    return picture_grid(picture_rows, path, zoom=zoom)


def _index_of(conditions: Sequence[Mapping[str, Any]], image_id: str, pattern: str, sigma: float) -> int:
    wanted = (image_id, pattern, sigma)
    for index, item in enumerate(conditions):
        if (item["image_id"], item["noise"]["pattern"], float(item["noise"]["std"])) == wanted:
            return index
    raise ValueError(f"{pattern} noise of sigma {sigma:g} is not among the conditions of {image_id}.")


def _row(evaluator: ComparisonEvaluator, index: int, label: str) -> PictureRow:
    results = {}
    output: dict[str, torch.Tensor] = {}
    for method in evaluator.methods:
        output = evaluator.denoise(index, method)
        if method != "noisy":
            results[method] = output["pred"]
    return PictureRow(label, output["image"], output["label"], results)
