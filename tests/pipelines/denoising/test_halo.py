# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiles read as far beyond their border as the network looks, whatever its weights, and still fit the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

REACH = 9


class Corner(torch.nn.Module):
    """Each pixel becomes the mean of the two pixels that lie farthest away within the receptive radius."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def __deepcopy__(self, memo: dict) -> Corner:
        return self  # the engine's copy reports its sizes here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(x.shape))
        padded = torch.nn.functional.pad(x, [REACH] * 4)
        return (padded[..., : -2 * REACH, : -2 * REACH] + padded[..., 2 * REACH :, 2 * REACH :]) / 2


@pytest.fixture
def make(make_denoiser):
    def made(**options):
        denoiser = make_denoiser(**options)
        denoiser.model = replace(denoiser.model, network=Corner(), halo=REACH)
        return denoiser

    return made


IMAGE = np.random.RandomState(0).rand(2, 150, 170).astype(np.float32)


@pytest.mark.parametrize("tile_size", [16, 50, 100])
def test_tiles_equal_the_whole_for_a_network_that_looks_at_the_far_corners(make, tile_size):
    untiled = make().denoise_slices(IMAGE, (0, 1))
    np.testing.assert_allclose(make(tile_size=tile_size).denoise_slices(IMAGE, (0, 1)), untiled, atol=1e-6)


def test_tiles_with_their_halo_fit_the_memory(make):
    untiled = make().denoise_slices(IMAGE, (0, 1))
    per_pixel = make().engine().bytes_per_pixel
    denoiser = make(memory=per_pixel * 120 * 120)
    np.testing.assert_allclose(denoiser.denoise_slices(IMAGE, (0, 1)), untiled, atol=1e-6)
    sizes = denoiser.model.network.sizes
    assert len(sizes) > 2 and max(count * height * width for count, _, height, width in sizes) <= 120 * 120
