# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.evaluation import TrueNoiseLeveld
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
    ("speckle", "author_code"),
    ("gaussian", "author_code"),
    ("rician", "physical"),
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
