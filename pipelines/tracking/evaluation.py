# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The MLflow run of an evaluation."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from ..bundle.versions import code_version
from .names import evaluation_name
from .run import TrackedRun
from .tracker import RUN_ID_FILE

__all__ = ["log_evaluation"]

logger = logging.getLogger(__name__)


def log_evaluation(
    output_dir: str | os.PathLike,
    metrics: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    tracking_uri: str | os.PathLike | None = None,
    experiment_name: str = "noisewise",
    run_name: str | None = None,
    config_files: str | os.PathLike | Sequence[str | os.PathLike] = (),
    manifest_digest: str | None = None,
    manifest_counts: Mapping[str, int] | None = None,
    artifacts: str | Sequence[str] = ("*.csv", "*.md", "*.png"),
    training_dir: str | os.PathLike | None = None,
) -> str | None:
    """Make an MLflow run of an evaluation that is complete and written to a folder.

    The results are in the folder in any case, so a store that cannot be used causes a warning, never an error.

    Args:
        output_dir: the folder of the evaluation's tables and pictures, which are stored under ``results/``.
        metrics: numbers by name, nested or not; stored as ``test/NAME``, nested names joined by ``/``.
        params: the settings to compare runs by; nested parameters get dotted names. Paths are left out.
        tracking_uri: a URI or the path of an SQLite file; the environment variable ``MLFLOW_TRACKING_URI`` overrides
            it.
        experiment_name: the experiment; runs can be compared within one.
        run_name: names the methods, the noise, the split and the time when None.
        config_files: config files to store under ``config/``; paths in them are left out.
        manifest_digest: checksum of the data.
        manifest_counts: number of images of each split.
        artifacts: patterns of files in ``output_dir`` to store. Tables that name files are not stored.
        training_dir: the output folder of the training that made the weights; the new run is shown below its run.

    Returns:
        The run's id, or None when there is none.
    """
    output_dir = Path(output_dir)
    id_file = None if training_dir is None else Path(training_dir) / RUN_ID_FILE
    parent = id_file.read_text().strip() if id_file is not None and id_file.is_file() else None
    try:
        name = run_name or evaluation_name(params or {})
        run = TrackedRun(tracking_uri, experiment_name, name, parent_run=parent)
    except RuntimeError as error:
        logger.warning("the evaluation in %s is not tracked: %s", output_dir, error)
        return None
    run_id = run.run_id
    run.attempt("logging parameters", run.log_parameters, params or {})
    if manifest_digest is not None:
        run.attempt("logging the data", run.log_data_digest, manifest_digest, manifest_counts or {}, "evaluation")
    run.attempt("setting tags", run.set_version, code_version())
    run.log_metrics(_joined(metrics or {}, "test/"), step=0)
    for path in ensure_tuple(config_files):
        run.attempt("storing a config file", run.log_config, path)
    for pattern in ensure_tuple(artifacts):
        for path in sorted(output_dir.glob(pattern)):
            run.log_file(path, "results")
    run.finish()
    return run_id


def _joined(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat.update(_joined(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat
