# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""BM3D with stabilised variance: its tables, what it gains on speckle, what it leaves to BM3D."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import list_data_collate
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app
from noisewise.pipelines.evaluation import (
    StabilizedBM3DDenoiser,
    TrueNoiseLeveld,
    read_scores,
    reference_methods,
    stabilized_mean,
)
from noisewise.transforms import MultiPatternNoised, NoiseRecord, simulate_noise

skimage_data = pytest.importorskip("skimage.data")


def psnr(image, clean) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(image, dtype=np.float64) - np.asarray(clean)) ** 2)))


@pytest.mark.parametrize("sigma", [10, 75])
def test_the_tabulated_mean_is_that_of_many_draws(sigma):
    factor, knee = sigma / 255, 50 / 255
    intensities, means, deviations = stabilized_mean(factor, knee)
    assert (np.diff(intensities) > 0).all() and (np.diff(means) > 0).all()
    assert intensities[0] == -2 and intensities[-1] == 2
    draws = np.random.default_rng(0).standard_normal(400_000)
    for x in (-0.7, 0.0, 0.02, 0.3, 1.0):
        values = np.arcsinh(x * (1 + factor * draws) / knee) / factor
        assert np.interp(x, intensities, means) == pytest.approx(values.mean(), abs=0.01)
        assert np.interp(x, intensities, deviations) == pytest.approx(values.std(), abs=0.01)


def test_bright_pixels_come_to_a_standard_deviation_of_one():
    """asinh is the logarithm, whose derivative is 1 / x, far above the knee."""
    intensities, _, deviations = stabilized_mean(10 / 255, 3 / 255)
    np.testing.assert_allclose(deviations[intensities > 0.3], 1.0, atol=0.01)


@pytest.fixture(scope="module")
def methods():
    pytest.importorskip("bm3d")
    torch.set_num_threads(1)
    return reference_methods(["bm3d", "bm3d_vst"])


@pytest.fixture(scope="module")
def grey() -> torch.Tensor:
    """Dark on one side, bright on the other: one noise level for both is wrong for either."""
    cell = skimage_data.cell()[250:330, 340:420] / 255.0
    return torch.from_numpy(np.clip(cell * np.linspace(0.2, 1.6, 80), 0, 1)).float()[None].repeat(3, 1, 1)


@pytest.fixture(scope="module")
def colour() -> torch.Tensor:
    ihc = skimage_data.immunohistochemistry()[100:148, 100:148] / 255.0
    return torch.from_numpy((ihc * np.linspace(0.1, 1, 48)[:, None]).transpose(2, 1, 0).copy()).float()


def scored(methods, clean, pattern, std, protocol, is_grey) -> dict[str, float]:
    """PSNR of the methods on one image, told what an evaluation tells them."""
    noise = {"pattern": pattern, "std": std, "seed": 5, "protocol": protocol}
    item = MultiPatternNoised(keys="image", **noise)({"image": clean, "grayscale": is_grey})
    item = TrueNoiseLeveld()(item)
    batch = list_data_collate([{key: item[key] for key in ("noise_level", "grayscale", "noise")}])
    return {name: psnr(method(item["image"][None], **batch)[0], clean) for name, method in methods.items()}


# sigma, protocol, least gain of bm3d_vst over bm3d in dB; measured 10.4, 13.9, 12.5, 0.5 and 2.9, 0.5
GREY = [(25, "physical", 9.0), (75, "physical", 12.0), (75, "published", 11.0), (75, "author_code", 0.3)]
COLOUR = [(50, "physical", 2.5), (75, "author_code", 0.3)]


@pytest.mark.parametrize(("std", "protocol", "gain"), GREY)
def test_speckle_of_grey_images(methods, grey, std, protocol, gain):
    found = scored(methods, grey, "speckle", std, protocol, True)
    assert found["bm3d_vst"] > found["bm3d"] + gain


@pytest.mark.parametrize(("std", "protocol", "gain"), COLOUR)
def test_speckle_of_colour_images(methods, colour, std, protocol, gain):
    found = scored(methods, colour, "speckle", std, protocol, False)
    assert found["bm3d_vst"] > found["bm3d"] + gain


@pytest.mark.parametrize("pattern", ["gaussian", "poisson"])
def test_other_noise_is_left_to_bm3d(methods, grey, pattern):
    found = scored(methods, grey[:, :48, :48], pattern, 25, "physical", True)
    assert found["bm3d_vst"] == found["bm3d"]


def test_without_a_record_it_is_bm3d(methods, grey):
    noisy = simulate_noise(grey, NoiseRecord("speckle", 50, 1, shared=True))[None, :, :48, :48]
    assert torch.equal(methods["bm3d_vst"](noisy, 0.1), methods["bm3d"](noisy, 0.1))


def test_a_black_image_stays_black(methods):
    black = torch.zeros(1, 3, 32, 32)
    record = NoiseRecord("speckle", 75, 1, shared=True).as_dict()
    assert methods["bm3d_vst"](black, 1e-6, grayscale=True, noise=record).abs().max() < 1e-4


def test_brightness_is_kept(methods):
    """A constant has nothing to be preserved but its mean: a biased inverse would show here."""
    flat = torch.full((3, 96, 96), 0.6)
    record = NoiseRecord("speckle", 75, 2, shared=True)
    result = methods["bm3d_vst"](simulate_noise(flat, record)[None], 0.17, grayscale=True, noise=record.as_dict())
    # The draw's own mean has a standard error of 0.6 * 0.294 / 96 = 0.0018.
    assert result.mean().item() == pytest.approx(0.6, abs=0.006)


def test_dark_images_keep_their_details(methods, grey):
    """Of 5 % the brightness: a knee far above its intensities would smooth all of it away."""
    found = scored(methods, 0.05 * grey, "speckle", 25, "physical", True)
    assert found["bm3d_vst"] > found["bm3d"] + 8.0  # measured 9.9


@pytest.mark.parametrize("knees", [(0, 4), (16, -1)])
def test_knees_must_be_positive(methods, knees):
    with pytest.raises(ValueError, match="knees"):
        StabilizedBM3DDenoiser(*knees)


def test_the_command_adds_it_on_speckle_alone(methods, tmp_path, manifest):
    def evaluate(*more):
        shared = ["--manifest", manifest, "--no-network", "--no-picture", "--no-track", "--output", tmp_path]
        arguments = map(str, [*shared, "--stds", "25", "--limit", 1, *more])
        return CliRunner().invoke(app, ["evaluate", *arguments], env={"COLUMNS": "200"})

    assert evaluate().exit_code == 0
    before = (tmp_path / "scores.csv").read_text()
    assert evaluate("--bm3d-vst", "--patterns", "speckle").exit_code == 0
    rows = read_scores(tmp_path / "scores.csv")
    assert before.splitlines()[1:] == (tmp_path / "scores.csv").read_text().splitlines()[1 : 1 + 4]
    added = rows[rows["method"] == "bm3d_vst"]
    assert len(added) == 2 and set(added["pattern"]) == {"speckle"}
    noisy = rows[(rows["method"] == "noisy") & (rows["pattern"] == "speckle")]
    assert (added["psnr"].to_numpy() > noisy["psnr"].to_numpy() + 3).all()
    assert "Speckle: bm3d_vst" in (tmp_path / "summary.md").read_text()
