# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The MLflow runs of the bundles' evaluations, as their ``evaluate.yaml`` makes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...data_manifest import Manifest
from .. import evaluation, low_dose_ct
from ..bundle.preflight import config_files
from .evaluation import log_evaluation

__all__ = ["log_comparison", "log_low_dose_ct"]

SCORES = "scores.csv"


def log_comparison(output_dir: str | os.PathLike, **run: Any) -> str | None:
    """Make an MLflow run of the scores that the multimodal bundle's evaluation wrote.

    Args:
        output_dir: the folder of the evaluation.
        run: arguments of :func:`log_bundle_run` except ``metrics``.

    Returns:
        The run's id, or None when there is none.
    """
    scores = evaluation.read_scores(Path(output_dir) / SCORES)
    return log_bundle_run(output_dir, evaluation.summary_metrics(scores), **run)


def log_low_dose_ct(
    output_dir: str | os.PathLike, params: Mapping[str, Any], scored: Mapping[str, Any], **run: Any
) -> str | None:
    """Make an MLflow run of the scores that the low-dose CT bundle's evaluation wrote.

    Args:
        output_dir: the folder of the evaluation.
        params: the settings to compare evaluations by.
        scored: further settings, which tell simulated doses from pairs.
        run: further arguments of :func:`log_bundle_run` except ``metrics``.

    Returns:
        The run's id, or None when there is none.
    """
    rows = low_dose_ct.read_rows(Path(output_dir) / SCORES)
    return log_bundle_run(output_dir, low_dose_ct.summary_metrics(rows), params={**params, **scored}, **run)


def log_bundle_run(
    output_dir: str | os.PathLike,
    metrics: Mapping[str, Any],
    manifest: str | os.PathLike,
    split: str,
    images: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    **run: Any,
) -> str | None:
    """Make an MLflow run of a bundle's evaluation, with the command line's config files and the manifest's digest.

    Args:
        output_dir: the folder of the evaluation.
        metrics: see :func:`~noisewise.pipelines.tracking.log_evaluation`.
        manifest: path of the manifest that the images come from.
        split: the part of the manifest that was scored.
        images: the images that were scored.
        params: the settings to compare evaluations by.
        run: further arguments of :func:`~noisewise.pipelines.tracking.log_evaluation`: where the run goes and its name.

    Returns:
        The run's id, or None when there is none.
    """
    return log_evaluation(
        output_dir,
        metrics,
        params,
        config_files=config_files(),
        manifest_digest=Manifest.read(manifest).digest(),
        manifest_counts={split: len(images)},
        **run,
    )
