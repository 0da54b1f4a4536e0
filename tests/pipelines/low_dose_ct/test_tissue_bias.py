# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from noisewise.pipelines.low_dose_ct import tissue_bias, tissue_masks


def test_bias_of_each_tissue_exactly(phantom):
    full = phantom(20)
    masks = tissue_masks(full)
    shifts = {"lung": 7.5, "fat": -3.0, "soft_tissue": 0.0, "bone": -42.25}
    image = full.copy()
    for tissue, shift in shifts.items():
        image[masks[tissue]] += shift
    image[~np.any(list(masks.values()), axis=0)] += 500  # edges and air are no tissue
    assert tissue_bias(image, full, masks) == pytest.approx(shifts, abs=1e-9)


def test_integers_do_not_wrap_around():
    mask = np.ones((16, 16), bool)
    bias = tissue_bias(np.full((16, 16), 10, np.uint16), np.full((16, 16), 30, np.uint16), {"all": mask})
    assert bias == {"all": -20}


def test_bias_is_the_mean():
    image = np.arange(16.0).reshape(4, 4) ** 2
    assert tissue_bias(image, np.ones((4, 4)), {"all": image >= 0}, 1)["all"] == pytest.approx(1240 / 16 - 1)


def test_hardly_any_pixels_have_no_bias():
    mask = np.zeros((16, 16), bool)
    mask.flat[:9] = True
    image, reference = np.ones((16, 16)), np.zeros((16, 16))
    assert math.isnan(tissue_bias(image, reference, {"bone": mask}, fewest_pixels=10)["bone"])
    assert tissue_bias(image, reference, {"bone": mask}, fewest_pixels=9)["bone"] == 1
    assert math.isnan(tissue_bias(image, reference, {"bone": mask & False}, fewest_pixels=0)["bone"])


def test_unequal_shapes():
    with pytest.raises(ValueError, match="one shape"):
        tissue_bias(np.zeros((4, 4)), np.zeros((4, 5)), {})
    with pytest.raises(ValueError, match="mask of fat"):
        tissue_bias(np.zeros((4, 4)), np.zeros((4, 4)), {"fat": np.ones((4, 5), bool)})
