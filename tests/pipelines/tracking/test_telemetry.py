# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MLflow sends no usage reports to its makers unless they are turned on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import mlflow
from mlflow.telemetry import get_telemetry_client
before = get_telemetry_client() is not None
import noisewise.pipelines.tracking
print(before, get_telemetry_client() is not None)
"""


# the variable before the start, whether reports are on before and after noisewise is imported
@pytest.mark.parametrize(("value", "expected"), [(None, "True False"), ("false", "True True"), ("true", "False False")])
def test_reports_are_off_by_default(tmp_path, value, expected):
    # Variables by which MLflow recognizes tests and continuous integration, where it never sends reports.
    ours = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "CI", "GITHUB_ACTIONS", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")
    environment = {key: item for key, item in os.environ.items() if key not in ours}
    if value is not None:
        environment["MLFLOW_DISABLE_TELEMETRY"] = value
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == expected
