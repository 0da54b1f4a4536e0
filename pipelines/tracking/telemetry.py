# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's own usage reports, which are off unless the user turns them on."""

from __future__ import annotations

from ...usage_reports import block_usage_reports

__all__ = ["disable_usage_reports"]


def disable_usage_reports() -> None:
    """Turn off the usage reports that MLflow sends to its makers, unless ``MLFLOW_DISABLE_TELEMETRY`` is set.

    ``import noisewise`` has done that already, see :func:`noisewise.usage_reports.block_usage_reports`.
    """
    block_usage_reports()
