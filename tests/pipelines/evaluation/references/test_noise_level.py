# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.evaluation import TrueNoiseLeveld, remove_noise_mean, speckle_factor
from noisewise.transforms import MultiPatternNoised, RepeatGrayscaled


def corrupt(image, pattern, protocol, std=50.0):
    item = RepeatGrayscaled(keys="image")({"image": image})
    noisy = MultiPatternNoised(keys="image", pattern=pattern, std=std, seed=3, protocol=protocol)(item)
    return TrueNoiseLeveld(keys="residual")(noisy)


# channels, protocol, what sigma / 255 is divided by
GAUSSIAN = [(1, "physical", 1.0), (3, "physical", 1.0), (1, "published", np.sqrt(3)), (3, "published", 1.0)]


@pytest.mark.parametrize(("channels", "protocol", "divisor"), GAUSSIAN)
def test_gaussian_level_is_sigma_and_matches_the_noise_that_bm3d_will_see(channels, protocol, divisor):
    d = corrupt(torch.full((channels, 200, 200), 0.5), "gaussian", protocol)
    assert d["noise_level"].item() == pytest.approx(50 / 255 / divisor, rel=1e-6)
    seen = d["residual"].mean(0) if channels == 1 else d["residual"]
    assert seen.std().item() == pytest.approx(d["noise_level"].item(), rel=0.02)


# pattern, protocol
OTHERS = [
    ("speckle", "physical"),
    ("speckle", "published"),
    ("rician", "physical"),
    ("correlated", "physical"),
]


@pytest.mark.parametrize(("pattern", "protocol"), OTHERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_levels_are_the_root_mean_square_of_what_is_denoised(pattern, channels, protocol):
    image = torch.rand(channels, 40, 30, generator=torch.Generator().manual_seed(0))
    d = corrupt(image, pattern, protocol)
    difference = d["image"].numpy().astype(np.float64) - d["label"].numpy()
    if channels == 1:
        difference = difference.mean(0)
    assert d["noise_level"].item() == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-4)


STD = 50 / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_the_level_under_author_code_is_that_of_the_noise_about_its_mean(channels):
    """Gaussian branch: U(0, s) on [-1, 1], half of it on [0, 1]; a grey image's three draws are averaged."""
    d = corrupt(torch.full((channels, 300, 300), 0.8), "gaussian", "author_code")
    draws = 3 if channels == 1 else 1
    assert d["noise_level"].item() == pytest.approx(STD / 2 / np.sqrt(12 * draws), rel=0.01)
    d = corrupt(torch.full((channels, 300, 300), 0.8), "speckle", "author_code")
    assert d["noise_level"].item() == pytest.approx(0.6 / 2 * STD / np.sqrt(12 * draws) / (1 + STD / 2), rel=0.01)


@pytest.mark.parametrize("pattern", ["gaussian", "speckle"])
@pytest.mark.parametrize("intensity", [0.0, 0.5, 0.9])
def test_without_its_mean_author_code_noise_leaves_the_mean_where_it_was(pattern, intensity):
    d = corrupt(torch.full((3, 300, 300), intensity), pattern, "author_code")
    shift = d["residual"].mean().item()
    assert shift == pytest.approx(STD / 4 * (1 if pattern == "gaussian" else 2 * intensity - 1), abs=5e-4)
    unbiased = remove_noise_mean(d["image"], d["noise"])
    assert unbiased.mean().item() == pytest.approx(intensity, abs=5e-4)
    np.testing.assert_allclose(remove_noise_mean(d["image"].numpy(), d["noise"]), unbiased.numpy(), atol=1e-6)


@pytest.mark.parametrize("protocol", ["physical", "published"])
def test_other_protocols_have_no_mean_to_remove(protocol):
    d = corrupt(torch.rand(1, 20, 20), "speckle", protocol)
    assert remove_noise_mean(d["image"], d["noise"]) is d["image"]


# protocol, channels averaged
FACTORS = [("physical", 1), ("published", 3), ("author_code", 1), ("author_code", 3)]


@pytest.mark.parametrize(("protocol", "draws"), FACTORS)
def test_the_speckle_factor_is_that_of_the_image(protocol, draws):
    clean = torch.full((draws, 400, 400), 0.9)
    noise = {"pattern": "speckle", "std": 50.0, "protocol": protocol}
    noisy = MultiPatternNoised(keys="image", **noise, seed=3)({"image": clean, "grayscale": False})["image"]
    factor, centre = speckle_factor(noise, draws)
    ratio = (remove_noise_mean(noisy, noise).mean(0) - centre) / (0.9 - centre)
    assert ratio.mean().item() == pytest.approx(1, abs=3e-3)
    assert ratio.std().item() == pytest.approx(factor, rel=0.02)
