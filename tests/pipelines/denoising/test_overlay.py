# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Colors laid over a gray image stay as they are, and color images are denoised everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from noisewise.pipelines.denoising.denoiser import Denoiser
from noisewise.pipelines.denoising.overlay import COLORED, find_overlays, overlay_weight

RANGE = (np.zeros(1), np.full(1, 255.0))
FLOW = (slice(20, 30), slice(14, 40))


def scan(height=56, width=72, sigma=20):
    """An ultrasound image: noise in gray, a vessel in red and blue."""
    generator = np.random.default_rng(0)
    gray = np.clip(generator.normal(110, sigma, (height, width)), 0, 255)
    image = np.repeat(gray[..., None], 3, -1)
    image[FLOW] = (230, 40, 10)
    image[24:30, 14:40] = (10, 30, 220)
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def denoiser():
    return Denoiser(engine="torch", precision="float32", device="cpu")


def test_colors_stay_and_the_gray_image_is_denoised(denoiser):
    image = scan()
    result = denoiser.denoise_slices(image[None], (0, 255))[0]
    np.testing.assert_array_equal(result[FLOW], image[FLOW])
    far = np.s_[36:, :]
    assert result[far].std() < 0.5 * image[far].std()


def test_the_edge_is_smooth(denoiser):
    image = scan()
    weight = overlay_weight(image, (slice(0, 56), slice(0, 72)), 0, 255)
    assert (weight[FLOW] == 1).all() and weight[40:].max() == 0
    assert np.abs(np.diff(weight, axis=0)).max() <= 0.21 and np.abs(np.diff(weight, axis=1)).max() <= 0.21
    assert ((weight > 0) & (weight < 1)).any()


def test_tiles_fit_together(denoiser):
    image = scan()
    whole = overlay_weight(image, (slice(0, 56), slice(0, 72)), 0, 255)
    parts = np.zeros_like(whole)
    for row in range(0, 56, 7):
        for column in range(0, 72, 9):
            core = (slice(row, row + 7), slice(column, column + 9))
            parts[core] = overlay_weight(image, core, 0, 255)
    np.testing.assert_array_equal(parts, whole)
    tiled = Denoiser(engine="torch", precision="float32", device="cpu", tile_size=16)
    slices = image[None].astype(np.float32)
    untiled = denoiser.denoise_slices(slices, (0, 255))
    np.testing.assert_allclose(tiled.denoise_slices(slices, (0, 255)), untiled, atol=255e-5)


def test_only_the_slices_with_an_overlay_are_kept(denoiser):
    plain = scan()
    plain[FLOW] = 120
    plain[0, 0] = (121, 120, 120)
    image = scan()
    both = np.stack([plain, image, plain])
    found = find_overlays(both, np.zeros(3), np.full(3, 255.0))
    np.testing.assert_array_equal(found, [False, True, False])
    result = denoiser.denoise_slices(both, (0, 255))
    np.testing.assert_array_equal(result[1], denoiser.denoise_slices(image[None], (0, 255))[0])
    assert (result[0][FLOW] != plain[FLOW]).any()


def tissue():
    """A slide: purple spots on white."""
    image = np.full((64, 64, 3), 245)
    image[10:30, 10:40] = (150, 60, 160)
    return image


def fundus():
    """A retina: red within a black border."""
    image = np.zeros((64, 64, 3))
    image[20:44, 20:44] = (190, 80, 30)
    return image


def noisy_gray():
    """Noise that differs between the channels colors a gray image."""
    return np.clip(np.random.default_rng(0).normal(120, 50, (64, 64, 3)), 0, 255)


@pytest.mark.parametrize("image", [tissue(), fundus(), noisy_gray(), noisy_gray() * (1, 0.6, 0.5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_color_images_have_no_overlay(image, dtype):
    assert (image.max(-1) - image.min(-1) > 255 * COLORED).any()
    assert not find_overlays(image[None].astype(dtype), *RANGE).any()


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint16, 257), (np.float32, 1 / 255)])
def test_the_range_decides_and_not_the_dtype(dtype, scale):
    image = (scan()[None].astype(np.float64) * scale).astype(dtype)
    assert find_overlays(image, RANGE[0], RANGE[1] * scale).all()
