# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Experiment tracking with MLflow."""

from ..bundle.versions import code_version
from .evaluation import log_evaluation
from .panels import denoising_panel
from .parameters import flatten_parameters
from .registry import fetch_weights, register_weights
from .run import TrackedRun, store_uri
from .telemetry import disable_usage_reports
from .tracker import ExperimentTracker

__all__ = [
    "disable_usage_reports",
    "ExperimentTracker",
    "TrackedRun",
    "code_version",
    "denoising_panel",
    "fetch_weights",
    "flatten_parameters",
    "log_evaluation",
    "register_weights",
    "store_uri",
]

disable_usage_reports()
