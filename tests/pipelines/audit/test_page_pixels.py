# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of the page keep the values, in few bytes."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from noisewise.pipelines.audit.page_pixels import encode_picture


def decode(picture):
    """The values of a picture, ``(2, H, W[, 3])``, as the page's script decodes them."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(picture.pixels)), np.uint8)
    low, *high = data.reshape(picture.bits // 8, -1).astype(np.uint16)
    numbers = (low + (high[0] << 8) if high else low).reshape(2, picture.channels, picture.height, picture.width)
    numbers = np.cumsum(numbers, axis=-1, dtype=np.uint64) % 2**picture.bits
    values = picture.offset + picture.step * numbers.astype(np.float64)
    return values[:, 0] if picture.channels == 1 else np.moveaxis(values, 1, -1)


def noisy(*shape, scale=100.0):
    return (scale * np.random.RandomState(0).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("color", [False, True])
def test_eight_bit_values_are_exact(color):
    before, after = np.random.RandomState(0).randint(0, 256, (2, 40, 30, *((3,) if color else ())))
    picture = encode_picture(before, after, 20.0, eight_bit=True)
    assert (picture.bits, picture.step, picture.offset) == (8, 1.0, 0.0)
    np.testing.assert_array_equal(decode(picture), [before, after])


def test_hounsfield_units_are_kept_to_one():
    before = noisy(40, 30, scale=800.0)
    picture = encode_picture(before, before / 2, 5.0, hounsfield=True)
    assert picture.bits == 16 and picture.step == 1.0
    np.testing.assert_allclose(decode(picture), [before, before / 2], atol=0.5 + 1e-3)


@pytest.mark.parametrize(("scale", "std"), [(1.0, 0.1), (1e4, 1.0), (1e-6, 1e-7), (1.0, 0.0), (1.0, 100.0)])
def test_the_error_is_a_small_part_of_the_noise(scale, std):
    before = noisy(40, 30, scale=scale)
    picture = encode_picture(before, before * 0.9, std)
    error = max(np.ptp(before) / 65535, std / 16) / 2
    np.testing.assert_allclose(decode(picture), [before, before * np.float32(0.9)], atol=error * 1.01)


def test_large_images_are_averaged_down():
    before = np.zeros((1000, 1600), np.float32)
    before[:3, :3] = 90
    before[999] = 30
    picture = encode_picture(before, before, 1.0)
    assert (picture.factor, picture.height, picture.width) == (3, 334, 534)
    first = decode(picture)[0]
    # The last row of blocks has one row of pixels.
    np.testing.assert_allclose([first[0, 0], first[0, 1], first[-1, 5]], [90, 0, 30], atol=0.1)


def test_constant_images_and_values_that_are_not_finite():
    constant = encode_picture(np.full((4, 5), 7.0), np.full((4, 5), 7.0), 0.0)
    np.testing.assert_array_equal(decode(constant), np.full((2, 4, 5), 7.0))
    holes = np.where(np.eye(4) > 0, np.nan, 5.0)
    np.testing.assert_array_equal(decode(encode_picture(holes, holes, 1.0)), np.full((2, 4, 4), 5.0))
    with pytest.raises(ValueError, match="shape"):
        encode_picture(np.zeros((4, 5)), np.zeros((5, 4)), 1.0)
