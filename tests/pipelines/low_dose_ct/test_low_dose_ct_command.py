# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``noisewise low-dose-ct``."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from noisewise.pipelines.cli.low_dose_ct import app


def run(*arguments: str | Path):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_evaluation_writes_scores_and_tables(pairs, tmp_path):
    wanted = ("--only", "quarter_dose", "--only", "wiener", "--only", "tuned")
    done = run("evaluate", "--manifest", pairs, "--output", tmp_path / "study", *wanted)
    assert done.exit_code == 0, done.output
    assert "tuned: not trained without P1; left out" in done.output
    summary = (tmp_path / "study" / "report" / "summary.md").read_text()
    assert "### D45f, all patients: 3 slices" in summary and "| radial Wiener filter |" in summary
    with (tmp_path / "study" / "report" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"quarter_dose", "wiener"}
    assert len(rows) == 2 * 2 * 4  # methods, kernels, three patients and all


def test_unknown_methods_and_manifests_are_one_line(pairs, tmp_path):
    wrong = run("evaluate", "--manifest", pairs, "--output", tmp_path, "--only", "median")
    assert wrong.exit_code == 1 and "error: unknown method 'median'; choose from quarter_dose, wiener" in wrong.output
    missing = run("evaluate", "--manifest", tmp_path / "no.csv", "--output", tmp_path)
    assert missing.exit_code == 1 and "no.csv: cannot read the manifest" in missing.output


def test_calibration_names_a_slice_without_tube_current(pairs, tmp_path):
    (tmp_path / "currents.csv").write_text("file,mA\nP1_B30f_low.png,200\n")
    done = run("calibrate", "--manifest", pairs, "--tube-currents", tmp_path / "currents.csv", "--output", tmp_path)
    assert done.exit_code == 1 and "P1_D45f_low.png" in done.output
    assert not (tmp_path / "calibration.csv").exists()


def test_picture_shows_doses_and_what_was_removed(pairs, tmp_path):
    pytest.importorskip("matplotlib")
    text = pairs.read_text().replace("P1,,", "P1,test,")
    manifest = tmp_path / "test.csv"
    manifest.write_text(text)
    model = "multimodal_denoising"
    done = run("picture", tmp_path / "picture.png", "--manifest", manifest, "--model", model)
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "picture.png") as image:
        assert image.width > image.height  # four columns, two rows
