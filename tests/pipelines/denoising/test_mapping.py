# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The manifest's rule on files: one range for all slices, in stored values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisewise.pipelines.denoising import mapping
from noisewise.pipelines.denoising.mapping import stack_range, stored_limits
from noisewise.pipelines.formats import FormatError, ImageStack


def stack(slices, **options):
    return ImageStack(np.asarray(slices), [Path("a.img")], lambda *_: None, **options)


def values(dtype=np.int16, low=0, high=1000, shape=(3, 16, 16)):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def test_eight_bits_are_gray_levels():
    assert stack_range(stack(values(np.uint8, 0, 90))) == (0, 255)
    assert stack_range(stack(values(np.uint8, 0, 90)), modality="ct") == (0, 255)
    # Unless a slope gives them another meaning.
    scaled = stack(values(np.uint8, 0, 90), slope=2.0)
    assert stack_range(scaled) == pytest.approx((0, np.percentile(scaled.real(), 99.9)))


def test_ct_has_hounsfield_units():
    image = stack(values(low=-1024, high=3000), modality="ct")
    assert stack_range(image) == (-1000, 1000)
    image.modality = None
    assert stack_range(image, modality="ct") == (-1000, 1000)


def test_other_images_are_scaled_to_the_percentile_of_the_whole_series():
    slices = values()
    slices[2] *= 4  # one slice is brighter
    low, high = stack_range(stack(slices, slope=0.5, modality="mri"))
    assert low == 0 and high == pytest.approx(np.percentile(slices * 0.5, 99.9))


def test_slopes_differ_between_slices():
    slices, slope, intercept = values(), np.array([1.0, 2.0, 0.25]), np.array([0.0, 10.0, -5.0])
    image = stack(slices, slope=slope, intercept=intercept)
    real = slices * slope[:, None, None] + intercept[:, None, None]
    limits = stack_range(image)
    assert limits == pytest.approx((0, np.percentile(real, 99.9)))
    low, high = stored_limits(image, limits)
    np.testing.assert_allclose(low * slope + intercept, 0, atol=1e-9)
    np.testing.assert_allclose(high * slope + intercept, limits[1])


def test_black_is_high_where_the_file_says_so():
    image = stack(values(np.uint8, 0, 255))
    assert stored_limits(image, (0, 255)) == (0, 255)
    image.inverted = True
    assert stored_limits(image, (0, 255)) == (255, 0)
    assert stored_limits(stack(values(), slope=-2.0, intercept=100.0), (-1000, 1000)) == (550, -450)


def test_frozen_pixels_do_not_count():
    slices = values()
    frozen = np.zeros(slices.shape, bool)
    slices[:, :8], frozen[:, :8] = -20000, True
    assert stack_range(stack(slices, frozen=frozen))[1] == pytest.approx(np.percentile(slices[:, 8:], 99.9))
    assert stack_range(stack(slices, frozen=np.ones(slices.shape, bool))) is None
    color = np.repeat(slices[..., None], 3, -1)
    assert stack_range(stack(color, frozen=frozen))[1] == pytest.approx(np.percentile(color[:, 8:], 99.9))


def test_hounsfield_units_that_are_not_stated_are_refused():
    with pytest.raises(FormatError, match=r"a\.img: \d+% of its intensities are negative.*--modality ct"):
        stack_range(stack(values(low=-1000, high=1000)))
    slices = values()
    slices[0, :2] = -300  # 4 %
    assert stack_range(stack(slices))[0] == 0


def test_a_range_must_be_stated_if_the_rule_gives_none():
    slices = values(low=-5, high=1)
    with pytest.raises(FormatError, match=r"a\.img: the 99\.9th percentile of the intensities is 0: .*state"):
        stack_range(stack(slices))
    assert stack_range(stack(slices), stated=(-5.0, 5.0)) == (-5, 5)


@pytest.mark.parametrize("level", [-1024, 0, 7])
def test_an_image_without_contrast_has_no_range(level):
    assert stack_range(stack(np.full((2, 4, 4), level, np.int16)), stated=(0, 1)) is None


def test_large_stacks_are_sampled(monkeypatch):
    slices = values(shape=(8, 64, 64), high=20000)
    monkeypatch.setattr(mapping, "LARGEST_SAMPLE", slices.size // 4)
    exact = np.percentile(slices, 99.9)
    high = stack_range(stack(slices))[1]
    assert high == pytest.approx(exact, rel=1e-3) and high != exact
