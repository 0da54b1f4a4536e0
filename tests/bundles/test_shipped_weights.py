# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The shipped weights reproduce the shipped table, on images that come with Python packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import noisewise
from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest, build_embedded
from noisewise.pipelines.bundle.weights import load_weights
from noisewise.pipelines.cli.app import app
from noisewise.pipelines.denoising import Denoiser
from noisewise.pipelines.evaluation import read_scores

MODELS = bundle_path("multimodal_denoising") / "models"
# the weights' name in the table
WEIGHTS = {"two_stage": MODELS / "model.pt", "two_stage_commercial": MODELS / "model_commercial.pt"}
TABLE = Path(noisewise.__file__).parent / "docs" / "results" / "embedded" / "scores.csv"
KEYS = ["modality", "image_id", "pattern", "sigma", "method"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_shipped_table_belongs_to_the_shipped_weights(name):
    from noisewise.networks import TwoStageDenoiser

    table = read_scores(TABLE)
    assert set(table.loc[table["method"] == name, "weights"]) == {load_weights(TwoStageDenoiser(), WEIGHTS[name])}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize(("pattern", "sigma"), [("gaussian", 25), ("speckle", 75)])
def test_loading_the_weights_reproduces_the_table_to_a_hundredth_of_a_decibel(tmp_path, pattern, sigma, name):
    manifest = build_embedded(tmp_path / "embedded")
    few = Manifest.read(manifest).select("test", limit_per_modality=1)
    few.write(tmp_path / "few.csv", absolute=True)
    arguments = ["evaluate", "--manifest", tmp_path / "few.csv", "--crop", 128, "--patterns", pattern, "--stds", sigma]
    arguments += ["--no-noisy", "--no-picture", "--no-track", "--output", tmp_path / "out", "--device", "cpu"]
    arguments += ["--name", name, "--weights", WEIGHTS[name]]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    again = read_scores(tmp_path / "out" / "scores.csv").set_index(KEYS)
    assert len(again) == len(few) >= 4
    shipped = read_scores(TABLE).set_index(KEYS).loc[again.index]
    assert (again["psnr"] - shipped["psnr"]).abs().max() <= 0.01
    assert (again["ssim"] - shipped["ssim"]).abs().max() <= 0.001


# bundle, gray levels of 0..255, as docs/denoising.md states them
@pytest.mark.parametrize(("bundle", "limit"), [("multimodal_denoising", 0.1), ("low_dose_ct_denoising", 0.6)])
def test_a_constant_image_hardly_moves_away_from_the_border(bundle, limit):
    denoiser = Denoiser(bundle, engine="torch", precision="float32", device="cpu")
    for level in (16.0, 64.0, 128.0, 200.0, 240.0):
        image = np.full((1, 190, 190), level, np.float32)
        moved = denoiser.denoise_slices(image, (0, 255)) - image
        assert np.abs(moved[0, 94:-94, 94:-94]).max() < limit
