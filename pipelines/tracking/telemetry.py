# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's own usage reports, which are off unless the user turns them on."""

from __future__ import annotations

import contextlib
import os

__all__ = ["disable_usage_reports"]


def disable_usage_reports() -> None:
    """Turn off the usage reports that MLflow sends to its makers, unless ``MLFLOW_DISABLE_TELEMETRY`` is set.

    They contain no images, but a hospital's computer should not contact third parties. MLflow reads the variable when
    it is imported, and MONAI imports MLflow before this package, so its client is set up again.
    """
    if "MLFLOW_DISABLE_TELEMETRY" in os.environ:
        return
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with contextlib.suppress(ImportError):  # versions of MLflow without reports have no such function
        from mlflow.telemetry import set_telemetry_client

        set_telemetry_client()
