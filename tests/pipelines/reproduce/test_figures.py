# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures: pictures with error maps, and validation curves."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from noisewise.pipelines.evaluation import PictureRow
from noisewise.pipelines.reproduce.curves import draw_curves, read_history
from noisewise.pipelines.reproduce.figures import comparison_picture, draw_validation_curves
from noisewise.pipelines.reproduce.methods import read_methods


def picture_row(label: str, names: list[str]) -> PictureRow:
    generator = torch.Generator().manual_seed(0)
    clean = 255 * torch.rand(3, 48, 40, generator=generator)
    noisy = clean + 25 * torch.randn(clean.shape, generator=generator)
    return PictureRow(label, noisy, clean, {name: clean + (noisy - clean) / (2 + i) for i, name in enumerate(names)})


def test_a_picture_has_its_size_and_content(tmp_path):
    names = ["one", "two"]
    path = comparison_picture([picture_row("first", names), picture_row("second", names)], tmp_path / "a.png", dpi=50)
    image = Image.open(path)
    # four columns of 1.6 inches and 0.8 for the bar; two images of 2 x 1.6 + 0.5 inches and 0.3 for the titles
    assert image.size == (round((4 * 1.6 + 0.8) * 50), round((2 * 3.7 + 0.3) * 50))
    assert np.asarray(image).std() > 20
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_pictures_need_equal_methods(tmp_path):
    for rows in ([], [picture_row("a", [])], [picture_row("a", ["one"]), picture_row("b", ["two"])]):
        with pytest.raises(ValueError, match="same methods"):
            comparison_picture(rows, tmp_path / "a.png")


def history_lines(path, epochs, shift=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"epoch": e, "step": 10 * e, "psnr": 20 + e + shift, "ssim": 0.5, "delta_e": 3.0, "vifp": 0.4, "mse": 9.0}
        for e in epochs
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_of_an_epoch_run_twice_the_last_line_counts(tmp_path):
    history_lines(tmp_path / "v.jsonl", [1, 2, 2, 3])
    lines = (tmp_path / "v.jsonl").read_text().splitlines()
    lines[2] = lines[2].replace('"psnr": 22.0', '"psnr": 99.0')
    (tmp_path / "v.jsonl").write_text("\n".join(lines))
    history = read_history(tmp_path / "v.jsonl")
    assert list(history["psnr"]) == [21.0, 99.0, 23.0] and list(history["step"]) == [10, 20, 30]


@pytest.mark.parametrize("text", ["", "{", '{"epoch": 1, "step": 2, "psnr": 3.0}\n'])
def test_a_bad_history_is_named(tmp_path, text):
    (tmp_path / "v.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"v\.jsonl: is not a record of validations"):
        read_history(tmp_path / "v.jsonl")


def test_curves_have_their_size_and_points(tmp_path):
    history_lines(tmp_path / "v.jsonl", [1, 2])
    histories = {"one": read_history(tmp_path / "v.jsonl")}
    png, csv = draw_curves(histories, tmp_path / "f.png", dots_per_inch=40)
    assert Image.open(png).size == (5 * 4 * 40, round((3.2 + 0.25) * 40))
    table = pd.read_csv(csv)
    assert list(table.columns) == ["method", "epoch", "step", "psnr", "ssim", "delta_e", "vifp", "mse"]
    assert list(table["psnr"]) == [21.0, 22.0] and set(table["method"]) == {"one"}
    with pytest.raises(ValueError, match="no curve"):
        draw_curves({}, tmp_path / "f.png")


def test_figure_13_shows_the_ablation_alone(tmp_path, methods_folder, method_writer):
    method_writer(methods_folder, "other", order=3, title="Other")
    methods = read_methods(methods_folder)
    with pytest.raises(ValueError, match=r"left a validation\.jsonl"):
        draw_validation_curves(methods, tmp_path, tmp_path)
    for shift, name in enumerate(("two_stage", "twn", "other")):
        history_lines(tmp_path / "training" / name / "validation.jsonl", [1, 2], shift)
    written = draw_validation_curves(methods, tmp_path, tmp_path / "report")
    assert [path.name for path in written] == [
        "figure_13_validation.png",
        "figure_13_validation.csv",
        "figure_validation_psnr.png",
        "figure_validation_psnr.csv",
    ]
    assert list(pd.read_csv(written[1])["method"].unique()) == ["Twn", "Two-stage"]
    every = pd.read_csv(written[3]).query("epoch == 2")
    assert dict(zip(every["method"], every["psnr"])) == {"Two-stage": 22.0, "Twn": 23.0, "Other": 24.0}
