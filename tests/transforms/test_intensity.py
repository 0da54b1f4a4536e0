# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The intensity rule per modality, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from noisewise.transforms import (
    RepeatGrayscaled,
    ScaleFromUnitRanged,
    ScaleToUnitRanged,
    ToGrayLevelsd,
    ToGreyLevelsd,
    intensity_range,
)
from noisewise.transforms.intensity import negative_cause, negative_share


# stored dtype, modality, expected range (None: 0 to the 99.9th percentile)
@pytest.mark.parametrize(
    ("dtype", "modality", "expected"),
    [
        ("uint8", "mri", (0, 255)),
        ("uint8", "ct", (0, 255)),
        ("int16", "ct", (-1000, 1000)),
        ("float64", "CT", (-1000, 1000)),
        ("uint16", "mri", None),
        ("float32", None, None),
    ],
)
def test_the_rule(dtype, modality, expected):
    image = np.random.RandomState(0).gamma(2, 300, (1, 50, 60))
    low_high = intensity_range(image, dtype, modality)
    assert low_high == pytest.approx(expected or (0.0, np.percentile(image, 99.9)))
    assert intensity_range(torch.from_numpy(image), dtype, modality) == pytest.approx(low_high)


def test_no_range_is_an_error():
    with pytest.raises(ValueError, match="percentile"):
        intensity_range(np.zeros((1, 4, 4)), "uint16", "mri")
    with pytest.raises(ValueError, match="empty or not finite"):
        ScaleToUnitRanged("image")({"image": torch.zeros(1, 2, 2), "intensity_min": 5, "intensity_max": 5})


def test_there_and_back_keeps_what_lies_outside():
    hu = torch.tensor([[[-1024.0, -1000, 0, 1000, 3071]]])
    item = ScaleToUnitRanged("image")({"image": hu, "intensity_min": -1000.0, "intensity_max": 1000.0})
    torch.testing.assert_close(item["image"], torch.tensor([[[-0.012, 0.0, 0.5, 1.0, 2.0355]]]))
    torch.testing.assert_close(ScaleFromUnitRanged("image")(item)["image"], hu)


def test_a_range_is_found_where_the_item_has_none():
    image = MetaTensor(torch.rand(1, 30, 30) * 4000, meta={"stored_dtype": "int16"})
    item = ScaleToUnitRanged("image")({"image": image, "modality": "mri"})
    assert item["intensity_min"] == 0 and item["intensity_max"] == pytest.approx(np.percentile(image, 99.9), rel=1e-6)
    eight = MetaTensor(torch.rand(1, 30, 30) * 100, meta={"stored_dtype": "uint8"})
    assert ScaleToUnitRanged("image")({"image": eight})["intensity_max"] == 255


def test_gray_levels_are_rounded_only_for_eight_bit_data():
    image = torch.tensor([[[-0.1, 0.5, 0.7501, 1.2]]])
    rounded = ToGrayLevelsd("image")({"image": image, "eight_bit": True})["image"]
    exact = ToGrayLevelsd("image")({"image": image, "eight_bit": False})["image"]
    torch.testing.assert_close(rounded, torch.tensor([[[0.0, 128.0, 191.0, 255.0]]]))
    torch.testing.assert_close(exact, torch.tensor([[[0.0, 127.5, 191.2755, 255.0]]]))


def test_four_channels_are_refused():
    with pytest.raises(ValueError, match="'image' has 4 channels"):
        RepeatGrayscaled("image")({"image": torch.zeros(4, 8, 8)})


def test_the_earlier_name_of_gray_levels_works_and_warns():
    with pytest.warns(DeprecationWarning, match="ToGreyLevelsd is now ToGrayLevelsd"):
        old = ToGreyLevelsd("image", eight_bit_key="bits")
    item = {"image": torch.tensor([[0.5, 2.0]]), "bits": True}
    torch.testing.assert_close(old(item)["image"], ToGrayLevelsd("image", "bits")(item)["image"])


# clearly negative pixels of a hundred
@pytest.mark.parametrize(("count", "refused"), [(0, False), (9, False), (11, True), (100, True)])
def test_more_than_a_tenth_of_negative_pixels_is_refused(count, refused):
    image = np.full((1, 10, 10), 0.5)
    image.ravel()[:count] = -0.2
    assert negative_share(image) == pytest.approx(count / 100)
    cause = negative_cause(negative_share(image))
    assert (cause is not None) == refused
    if refused:
        assert f"{count}% of its intensities are negative" in cause and "--modality ct" in cause


def test_pixels_count_as_negative_below_a_twentieth_of_the_range():
    assert negative_share(torch.tensor([-0.049, -0.051, 0.0, 1.0])) == 0.25
