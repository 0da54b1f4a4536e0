# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks of a copy find faults; `make zoo` runs them all where the package is not installed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from noisewise.pipelines.zoo.check_copy import NECESSARY, Checks, Failure, _compare


@pytest.fixture
def bundle(tmp_path) -> Path:
    """All files that a copy must have, nearly empty."""
    root = tmp_path / "bundle"
    for name in (*NECESSARY, "configs/inference.yaml", "scripts/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    metadata = {"version": "1.0.0", "changelog": {"1.0.0": "first"}, "required_packages_version": {"fire": "0.7.1"}}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return root


@pytest.fixture
def checks(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make() -> Checks:
        nothing = tmp_path / "nothing"
        options = argparse.Namespace(bundle=bundle, large_files=nothing, unit_tests=nothing, schema=None)
        return Checks(options, tmp_path / f"root{len(list(tmp_path.iterdir()))}")

    return make


def test_the_package_must_not_be_there(checks):
    with pytest.raises(Failure, match="noisewise can be imported"):
        checks().no_package()


def test_a_whole_bundle_passes(checks, bundle):
    checks().files()
    checks().version()
    assert sorted(path.name for path in bundle.rglob("*.pyc")) == []


@pytest.mark.parametrize("name", [*NECESSARY[1:], "configs/inference.yaml"])
def test_a_missing_file_is_refused(checks, bundle, name):
    (bundle / name).unlink()
    with pytest.raises(Failure, match=r"missing: |no inference config"):
        checks().files()


def test_what_does_not_belong_there_is_refused(checks, bundle):
    (bundle / "scripts" / "module.pyc").touch()
    with pytest.raises(Failure, match="does not belong"):
        checks().files()


def test_a_large_file_is_refused(checks, bundle):
    with (bundle / "models" / "model.pt").open("wb") as file:
        file.truncate(25 * 1024**2 + 1)
    with pytest.raises(Failure, match=r"above 25 MB: .*model\.pt"):
        checks().files()


def test_metadata_that_asks_for_the_package_or_lacks_a_change_is_refused(checks, bundle):
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, "required_packages_version": {"noisewise": "1"}, "version": "2"}))
    with pytest.raises(Failure, match="asks for noisewise"):
        checks().files()
    with pytest.raises(Failure, match="not in the changelog"):
        checks().version()


def test_the_comparison_of_results_is_strict():
    expected = np.linspace(0, 100, 11)
    _compare(expected + 9e-4, expected, "close")
    with pytest.raises(Failure, match="far: differs by"):
        _compare(expected + 2e-3, expected, "far")
    with pytest.raises(Failure, match="differs by nan"):
        _compare(expected * np.nan, expected, "nan")
