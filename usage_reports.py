# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""No library that noisewise uses reports to its makers."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["block_usage_reports"]

# Each library reads its variable when it is imported. A variable that is set already is the user's word, and is kept.
VARIABLES = {
    # Reports of runs, which MONAI starts by importing MLflow.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Since version 1.29, reports of models and runs, from a thread of its own, and an identifier of the computer in the
    # home directory.
    "ORT_DISABLE_TELEMETRY": "1",
    # MONAI imports it where it is installed.
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# OpenVINO reports every import through this package, and runs as well without it. No variable turns that off.
REPORTERS = ("openvino_telemetry",)


def block_usage_reports() -> None:
    """Turn off the usage reports of MLflow, ONNX Runtime, OpenVINO and Hugging Face in this process and its children.

    They contain no images, but a hospital's computer should not contact third parties. ``import noisewise`` calls this
    first. MONAI and a user's program may have imported MLflow before, whose client is then set up again.
    """
    mlflow_is_ours = "MLFLOW_DISABLE_TELEMETRY" not in os.environ
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    for name in REPORTERS:
        # Importing it then fails as if it were not installed.
        sys.modules.setdefault(name, None)
    if mlflow_is_ours and "mlflow" in sys.modules:
        with contextlib.suppress(ImportError):  # versions of MLflow without reports have no such function
            from mlflow.telemetry import set_telemetry_client

            set_telemetry_client()
