# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's own usage reports, which are off here unless asked for."""

from __future__ import annotations

import contextlib
import os

__all__ = ["disable_usage_reports"]


def disable_usage_reports() -> None:
    """Turn MLflow's usage reports to its makers off, unless ``MLFLOW_DISABLE_TELEMETRY`` says otherwise.

    They hold no images, but a clinic's machine is not expected to talk to anybody. MLflow looks at the variable when it
    is imported, and MONAI imports it before this package, so its client is set up anew.
    """
    if "MLFLOW_DISABLE_TELEMETRY" in os.environ:
        return
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with contextlib.suppress(ImportError):  # versions of MLflow without reports have no such function
        from mlflow.telemetry import set_telemetry_client

        set_telemetry_client()
