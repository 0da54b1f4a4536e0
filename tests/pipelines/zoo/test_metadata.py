# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The metadata of a copy, and the requirements that the zoo's CI reads from it."""

from __future__ import annotations

from importlib import metadata as installed

import pytest

from noisewise.pipelines.zoo.metadata import distribution_of, requirements, zoo_metadata
from noisewise.pipelines.zoo.modules import ZooError

METADATA = {
    "version": "0.2.0",
    "changelog": {"0.2.0": "first"},
    "monai_version": "1.6.1",
    "pytorch_version": "2.13.0",
    "numpy_version": "2.4.6",
    "required_packages_version": {"noisewise": "0.2.0", "pydicom": "3.0.0", "nibabel": ">=5"},
}


def test_the_package_is_replaced_by_what_its_modules_import():
    required = zoo_metadata(METADATA, {"torch", "monai", "numpy", "PIL", "pydicom"})["required_packages_version"]
    assert required.pop("pillow") == installed.version("pillow")
    assert required.pop("pyyaml") == installed.version("pyyaml")
    assert required.pop("fire") == installed.version("fire")
    assert required == {"pydicom": "3.0.0", "nibabel": ">=5"}


def test_a_version_without_a_changelog_is_refused():
    with pytest.raises(ZooError, match=r"version '0\.3\.0' has no entry in the changelog"):
        zoo_metadata({**METADATA, "version": "0.3.0"}, set())


def test_a_package_that_is_not_installed_is_refused():
    with pytest.raises(ZooError, match="not_there: is imported"):
        zoo_metadata(METADATA, {"not_there"})


def test_the_named_distribution_goes_first():
    owners = {"mlflow": ["mlflow-skinny", "mlflow"], "PIL": ["Pillow", "Pillow-SIMD"]}
    assert distribution_of("mlflow", owners) == "mlflow"
    assert distribution_of("PIL", owners, {"pillow-simd"}) == "pillow-simd"


def test_requirements_as_the_zoo_reads_them():
    lines = ["monai==1.6.1", "torch==2.13.0", "numpy==2.4.6", "noisewise==0.2.0", "pydicom==3.0.0", "nibabel>=5"]
    assert requirements(METADATA) == lines
