# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from noisewise.pipelines.evaluation import PictureRow, draw_examples, median_images, picture_grid, reference_methods


@pytest.fixture
def drawn(monkeypatch):
    """The arrays and options that matplotlib draws."""
    calls = []
    imshow = Axes.imshow

    def spy(self, values, **kwargs):
        calls.append((np.asarray(values), kwargs))
        return imshow(self, values, **kwargs)

    monkeypatch.setattr(Axes, "imshow", spy)
    return calls


def make_row(label="mri", offset=10.0):
    clean = torch.zeros(1, 60, 48)  # x, y
    clean[:, :20] = 200.0  # a bright strip on the left
    return PictureRow(label, clean + 300, clean, {"a": clean + offset, "b": clean - offset / 2})


def test_images_are_drawn_upright_and_errors_on_one_scale(tmp_path, drawn):
    path = picture_grid([make_row(), make_row("ct", 40.0)], tmp_path / "deep" / "picture.png")
    with Image.open(path) as image:
        image.verify()
    assert [found.name for found in path.parent.iterdir()] == ["picture.png"]
    noisy, a, b, clean, error_a, error_b = (values for values, _ in drawn[:6])
    assert noisy.shape == (48, 60, 3) and (noisy == 1).all()
    assert (clean[:, :20] == 200 / 255).all() and (clean[:, 20:] == 0).all()
    assert a[0, 59] == pytest.approx([10 / 255] * 3, abs=1e-6) and (b[:, 20:] == 0).all()
    assert (error_a == 10).all() and (error_b == 5).all()
    scales = {(kwargs["vmin"], kwargs["vmax"]) for _, kwargs in drawn if "vmax" in kwargs}
    assert scales == {(0, 40.0)}


def test_zoom_shows_the_center(tmp_path, drawn):
    row = make_row()
    picture_grid([row], tmp_path / "picture.png", zoom=30)
    shown = drawn[3][0]
    assert shown.shape == (30, 30, 3)
    assert (shown[:, :5] > 0).all() and (shown[:, 5:] == 0).all()  # x from 15 on: 5 of the 20 bright columns


def test_wrong_rows_are_refused(tmp_path):
    other = make_row("ct")
    other.denoised = {"a": other.clean}
    with pytest.raises(ValueError, match="same methods"):
        picture_grid([make_row(), other], tmp_path / "picture.png")
    other.denoised = {"a": other.clean[:, 1:], "b": other.clean}
    with pytest.raises(ValueError, match="'ct' must have one shape"):
        picture_grid([other], tmp_path / "picture.png")
    with pytest.raises(ValueError, match="no rows"):
        picture_grid([], tmp_path / "picture.png")


def test_the_median_image_is_chosen_whatever_the_order():
    psnr = {"a": 31.0, "b": 29.0, "c": 30.0, "d": 35.0}
    rows = pd.DataFrame(
        {"modality": "mri", "method": "net", "pattern": "gaussian", "sigma": 25.0, "image_id": name, "psnr": value}
        for name, value in psnr.items()
    )
    other = rows.assign(method="noisy", psnr=[1.0, 2.0, 3.0, 0.0])
    rows = pd.concat([rows, other, rows.assign(sigma=50.0, psnr=[1.0, 2.0, 3.0, 0.0])])
    for seed in range(3):
        assert median_images(rows.sample(frac=1, random_state=seed), "net", "gaussian", 25.0) == {"mri": "c"}
    assert median_images(rows, "net", "speckle", 25.0) == {}


def test_examples_show_what_was_scored(tmp_path, make_evaluator, blur, drawn):
    evaluator = make_evaluator(tmp_path, {"blur": blur(), **reference_methods(["noisy"])}, stds=(25, 50))
    evaluator.run()
    draw_examples(evaluator, tmp_path / "picture.png", sigma=50)
    assert len(drawn) == 4 * 4  # two modalities x two patterns; noisy, blur, clean, error
    rows = evaluator.table.rows()
    histology = rows[(rows["modality"] == "histology") & (rows["pattern"] == "gaussian") & (rows["sigma"] == 50)]
    noisy, result, clean = (drawn[index][0] * 255 for index in (0, 1, 2))  # histology comes first
    for method, image in (("noisy", noisy), ("blur", result)):
        expected = histology[histology["method"] == method]["mse"].item()
        assert np.mean((image - clean) ** 2) == pytest.approx(expected, rel=1e-4)
    again = tmp_path / "again.png"
    draw_examples(evaluator, again, sigma=50)
    assert again.read_bytes() == (tmp_path / "picture.png").read_bytes()
    with pytest.raises(ValueError, match="sigma 10"):
        draw_examples(evaluator, again, sigma=10)
