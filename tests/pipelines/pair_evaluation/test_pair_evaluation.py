# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app
from noisewise.pipelines.noise_measurement import NoiseCurve
from noisewise.pipelines.pair_evaluation import PairsError, evaluate_pairs, fit_gain_and_offset, read_pairs, score_pair
from noisewise.pipelines.pair_evaluation.variance_stabilization import VarianceStabilizer


@pytest.fixture
def table(tmp_path):
    """Two pairs of noisy and clean pictures, and their table."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    clean = np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1, 180.0, 60.0) + 20 * x
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["noisy", "clean", "modality", "source", "subject"])
        for number in (1, 2):
            noisy = clean / 2 + np.random.default_rng(number).normal(0, 10, clean.shape)
            for name, image in (("noisy", noisy), ("clean", clean)):
                Image.fromarray(image.round().clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
            writer.writerow([f"noisy{number}.png", f"clean{number}.png", "microscopy", "ours", number])
    return tmp_path / "pairs.csv"


def test_both_kinds_of_tables_are_read(table, tmp_path):
    pair = read_pairs(table)[1]
    assert (pair.number, pair.noisy, pair.source, pair.subject) == (2, tmp_path / "noisy2.png", "ours", "2")
    (tmp_path / "ct.csv").write_text("kernel,patient,full_dose,quarter_dose\nB30f,L1,f.png,q.png\n")
    pair = read_pairs(tmp_path / "ct.csv")[0]
    assert (pair.noisy.name, pair.clean.name, pair.modality, pair.source) == ("q.png", "f.png", "ct", "B30f")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "column 'noisy'"), ("noisy,clean\nx.png,\n", "pair 1"), ("noisy,clean\n", "no pairs")],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(PairsError, match=message):
        read_pairs(tmp_path / "bad.csv")


def test_a_fit_finds_gain_and_offset():
    image = np.random.default_rng(0).random((8, 8))
    assert fit_gain_and_offset(image, 2 * image - 0.5) == pytest.approx((2, -0.5))
    assert fit_gain_and_offset(np.ones((4, 4)), image[:4, :4]) == pytest.approx((0, image[:4, :4].mean()))


def test_scores_tell_blur_noise_and_bias_apart():
    from scipy import ndimage

    clean = np.zeros((96, 96))
    clean[:, 48:] = 0.5
    same = score_pair(clean, clean)
    assert same["edges"] == pytest.approx(1) and same["residual_noise"] == 0 and same["ssim"] == pytest.approx(1)
    assert score_pair(ndimage.gaussian_filter(clean, 2), clean)["edges"] < 0.6
    noisy = score_pair(clean + np.random.default_rng(0).normal(0, 0.04, clean.shape), clean)
    assert noisy["residual_noise"] == pytest.approx(255 * 0.04, rel=0.1) and noisy["edges"] == pytest.approx(1, abs=0.1)
    biased = score_pair(clean + 0.02 * (clean > 0.2), clean)
    assert biased["bias_bright"] == pytest.approx(5.1, abs=0.1) and abs(biased["bias_dark"]) < 0.2


def test_a_stabilizer_makes_noise_uniform_and_is_inverted_without_bias():
    stabilizer = VarianceStabilizer(NoiseCurve((), (), 1e-4, 1e-3, 1e-2))
    random = np.random.default_rng(0)
    for intensity in (0.1, 0.4, 0.8):
        std = np.sqrt(1e-4 + 1e-3 * intensity + 1e-2 * intensity**2)
        values = stabilizer.forward(intensity + std * random.normal(size=100_000))
        assert values.std() == pytest.approx(1, rel=0.1)
        assert stabilizer.inverse(values.mean()) == pytest.approx(intensity, rel=0.02)


def test_pairs_are_scored_once_and_others_added(table, tmp_path):
    calls = []

    def smooth(slices):
        calls.append(slices.shape)
        return np.full_like(slices, slices.mean())

    pairs, out = read_pairs(table), tmp_path / "out"
    first = evaluate_pairs(pairs, {"smooth": smooth}, out, fit=True, picture=False)
    assert list(first["method"]) == ["noisy", "smooth"] * 2 and calls == [(1, 48, 64)] * 2
    assert not any("png" in path.read_text() for path in (out / "scores.csv", out / "summary.md"))
    again = evaluate_pairs(pairs, {"smooth": smooth, "same": lambda slices: slices}, out, fit=True, picture=False)
    assert len(again) == 6 and len(calls) == 2
    assert "fitted to the reference" in (out / "summary.md").read_text()
    with pytest.raises(ValueError, match="--fit"):
        evaluate_pairs(pairs, {}, out, picture=False)


def test_the_fit_removes_a_difference_of_gain(table, tmp_path):
    pairs = read_pairs(table)
    psnr = {fit: evaluate_pairs(pairs, {}, tmp_path / str(fit), fit=fit)["psnr"].mean() for fit in (False, True)}
    assert psnr[True] > psnr[False] + 5
    assert (tmp_path / "True" / "picture.png").is_file()


@pytest.mark.usefixtures("halving")
def test_the_command(table, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in (1, 2):
        (elsewhere / f"noisy{number}.png").write_bytes((tmp_path / f"clean{number}.png").read_bytes())
    options = ["--output", str(tmp_path / "out"), "--no-bm3d", "--no-nlm", "--no-picture"]
    result = CliRunner().invoke(app, ["evaluate-pairs", str(table), *options, "--denoised", f"other={elsewhere}"])
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "scores.csv").open() as file:
        scores = {(row["pair"], row["method"]): float(row["psnr"]) for row in csv.DictReader(file)}
    assert scores["1", "other"] == 100 and scores["2", "noisy"] > scores["2", "multimodal_denoising"]
    bad = CliRunner().invoke(app, ["evaluate-pairs", str(table), *options, "--denoised", "other"])
    assert bad.exit_code == 1 and "NAME=FOLDER" in bad.output


def test_the_noise_command_names_files_that_cannot_be_read(table, tmp_path):
    good, bad = tmp_path / "noisy1.png", tmp_path / "bad.png"
    bad.write_text("x")
    result = CliRunner().invoke(app, ["noise", str(good), str(bad)])
    assert result.exit_code == 1 and "weights for white noise" in result.output and "bad.png: " in result.output
