# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a denoiser sees of values outside [0, 1]."""

from __future__ import annotations

import pytest
import torch

from noisewise.transforms import limit_outside
from noisewise.transforms.intensity_outside import OUTSIDE_REACH


def noisy(level, sigma, side=64, seed=0):
    return level + sigma / 255 * torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [10, 25, 50, 75])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_noise_is_seen_as_it_is(level, sigma):
    image = noisy(level, sigma)
    changed = (limit_outside(image) - image).abs()
    assert float((changed > 1e-6).float().mean()) < 2e-3
    assert float(changed.square().mean()) < 1e-4 * float((image - level).square().mean())


@pytest.mark.parametrize(
    ("level", "seen"), [(-12.0, 0.0), (-0.3, 0.0), (0.0, 0.0), (1.0, 1.0), (1.4, 1.0), (30.0, 1.0)]
)
def test_a_constant_outside_moves_to_the_end_of_the_range(level, seen):
    torch.testing.assert_close(limit_outside(torch.full((2, 3, 9, 8), level)), torch.full((2, 3, 9, 8), seen))


def test_a_plateau_with_sharp_edges_looks_as_if_clipped():
    image = torch.rand(1, 1, 30, 30)
    image[..., 5:12, 8:20] = -0.5
    image[..., 18:25, 3:29] = 2.5
    torch.testing.assert_close(limit_outside(image), image.clip(0, 1))


def test_single_outliers_are_compressed_smoothly():
    image = torch.full((1, 1, 101, 7), 0.5)
    image[0, 0, :, 3] = torch.linspace(-50, 50, 101)
    image[0, 0, ::2, 3] = 0.5
    seen = limit_outside(image)
    assert float(seen.min()) >= -1.25 and float(seen.max()) <= 2.25
    line = torch.linspace(1.5, 4, 2001)
    grid = torch.zeros(2001, 1, 9, 9)
    grid[:, 0, 4, 4] = line
    steps = limit_outside(grid)[:, 0, 4, 4].diff() / line.diff()
    assert float(steps.min()) >= 0 and float(steps.max()) < 1.01 and float(steps.diff().abs().max()) < 0.02


def test_the_reach_is_as_stated():
    image = noisy(-0.2, 20, side=41, seed=1)
    other = image.clone()
    other[..., 20, 20] += 5
    changed = (limit_outside(image) != limit_outside(other))[0, 0].nonzero()
    assert int((changed - 20).abs().max()) == OUTSIDE_REACH


def test_images_inside_are_returned_as_they_are():
    image = torch.rand(2, 3, 8, 8)
    assert limit_outside(image) is image
    assert limit_outside(torch.zeros(0, 1, 4, 4)).shape == (0, 1, 4, 4)
