# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The requirements of the packaged application include those of noisewise."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

import noisewise

ROOT = Path(noisewise.__file__).parent
FOLDER = ROOT / "pipelines" / "monai_deploy"


def test_requirements_hold_those_of_noisewise():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {*project["dependencies"], *project["optional-dependencies"]["dicom"]}
    assert needed <= set((FOLDER / "requirements.txt").read_text().splitlines())


def test_the_application_has_the_version_of_noisewise():
    assert yaml.safe_load((FOLDER / "app.yaml").read_text())["application"]["version"] == noisewise.__version__
