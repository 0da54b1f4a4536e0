# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise where``: the folders of the bundles."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from noisewise.bundles import bundle_names, bundle_path
from noisewise.pipelines.cli.app import app


def test_the_folder_of_a_bundle_is_printed_alone():
    result = CliRunner().invoke(app, ["where", "multimodal_denoising"])
    assert result.exit_code == 0 and result.stdout == f"{bundle_path('multimodal_denoising')}\n"


def test_without_a_name_all_bundles_are_listed():
    lines = CliRunner().invoke(app, ["where"]).stdout.splitlines()
    assert lines == [f"{name}: {bundle_path(name)}" for name in bundle_names()] and len(lines) >= 2


@pytest.mark.parametrize("name", ["multimodel", "..", ""])
def test_an_unknown_bundle_is_refused_with_the_known_ones(name):
    result = CliRunner().invoke(app, ["where", name])
    assert result.exit_code == 1 and not result.stdout
    known = "low_dose_ct_denoising, multimodal_denoising, universal_denoising"
    assert f"error: unknown bundle {name!r}; choose from {known}." in result.stderr
