# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from noisewise.pipelines.low_dose_ct import cut_around, disk_signal, gaussian_transfer, insert_signal


def test_disk_has_its_contrast_and_area():
    disk = disk_signal(-15, diameter_mm=10, size=31, spacing_mm=0.5)
    assert disk[15, 15] == disk.min() == -15
    assert disk.sum() * 0.25 == pytest.approx(-15 * np.pi * 25, rel=2e-3)
    assert disk[15, 4] == 0 and disk[15, 6] == -15  # 5.5 and 4.5 mm from the middle
    np.testing.assert_allclose(disk, disk[::-1])
    np.testing.assert_allclose(disk, disk.T)


def test_blur_is_the_transfer_function():
    sharp, blurred = (
        disk_signal(20, 8, 41, spacing_mm=0.7, transfer=transfer) for transfer in (None, gaussian_transfer(1.4))
    )
    np.testing.assert_allclose(blurred, ndimage.gaussian_filter(sharp, 2.0, truncate=8), atol=0.05)
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=1e-3)


def test_lesions_are_added_where_they_belong():
    image = np.random.default_rng(0).normal(50, 20, (40, 50))
    before, disk = image.copy(), disk_signal(10, 3, 7, spacing_mm=1)
    result = insert_signal(image, disk, [(3, 3), (20, 46)])
    np.testing.assert_array_equal(image, before)
    np.testing.assert_allclose(result[0:7, 0:7] - image[0:7, 0:7], disk)
    np.testing.assert_allclose(result[17:24, 43:50] - image[17:24, 43:50], disk)
    assert (result != image).sum() == 2 * (disk != 0).sum()


def test_overlapping_lesions_add_up():
    disk = disk_signal(10, 3, 7, spacing_mm=1)
    assert insert_signal(np.zeros((9, 9)), disk, [(4, 4), (4, 4)])[4, 4] == 20


def test_squares_are_cut_where_lesions_are_inserted():
    image = np.random.default_rng(0).normal(50, 20, (40, 50))
    disk, positions = disk_signal(10, 3, 7, spacing_mm=1), [(5, 9), (30, 44)]
    cut = cut_around(insert_signal(image, disk, positions), positions, 11) - cut_around(image, positions, 11)
    assert cut.shape == (2, 11, 11)
    np.testing.assert_allclose(cut, np.pad(disk, 2)[None].repeat(2, 0), atol=1e-12)


@pytest.mark.parametrize("position", [(2, 10), (10, 2), (17, 10), (10, 17), (-5, 10)])
def test_no_lesion_over_the_border(position):
    with pytest.raises(ValueError, match="would leave the slice"):
        insert_signal(np.zeros((20, 20)), np.ones((7, 7)), [position])
    with pytest.raises(ValueError, match="would leave the slice"):
        cut_around(np.zeros((20, 20)), [position], 7)


@pytest.mark.parametrize("arguments", [(10, 3, 8, 1), (10, 0, 7, 1), (10, 8, 7, 1), (10, 3, 7, 0)])
def test_bad_disks(arguments):
    with pytest.raises(ValueError, match=r"odd|diameter"):
        disk_signal(*arguments)
    with pytest.raises(ValueError, match="odd"):
        insert_signal(np.zeros((20, 20)), np.ones((6, 7)), [])
    with pytest.raises(ValueError, match="odd"):
        cut_around(np.zeros((20, 20)), [(10, 10)], 6)
