# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Running a bundle's evaluation from Python."""

from __future__ import annotations

import logging
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from ...bundles import bundle_path
from .score_table import ScoreTable

__all__ = ["run_evaluation", "run_evaluation_config"]

BUNDLE = "multimodal_denoising"


def run_evaluation(overrides: dict[str, Any]) -> ScoreTable:
    """Run the multimodal bundle's ``evaluate.yaml``.

    Args:
        overrides: keys of that config and their values.

    Returns:
        The folder's table of scores.

    Raises:
        RuntimeError: MONAI's, around the error itself, which
            :func:`~noisewise.pipelines.bundle.config.root_cause` gives.
    """
    return run_evaluation_config(BUNDLE, overrides).get_parsed_content("table")


def run_evaluation_config(bundle: str, overrides: dict[str, Any]) -> ConfigParser:
    """Run a bundle's ``evaluate.yaml``.

    Args:
        bundle: its name.
        overrides: keys of that config and their values.

    Returns:
        The config, with what it has made.

    Raises:
        RuntimeError: MONAI's, around the error itself, which
            :func:`~noisewise.pipelines.bundle.config.root_cause` gives.
    """
    # It would warn that the bundle's logging.conf is not used.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    workflow = ConfigWorkflow(
        str(bundle_path(bundle) / "configs" / "evaluate.yaml"),
        logging_file=False,
        run_id="evaluating",
        workflow_type="inference",
        **overrides,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow.parser
