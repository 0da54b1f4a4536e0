# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from noisewise.pipelines.low_dose_ct import (
    body_mask,
    flat_regions,
    patient_outline,
    reconstruction_circle,
    tissue_masks,
)


def distance(shape: tuple[int, int], row: float, column: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, columns - column)


def test_body_is_what_lies_above_minus_300():
    np.testing.assert_array_equal(body_mask([[-1024, -300, -299.9], [0, 3071, -900]]), [[0, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize("noise_hu", [0, 40])
def test_outline_holds_the_lung_but_neither_table_nor_air(phantom, noise_hu):
    outline = patient_outline(phantom(noise_hu))
    apart = distance(outline.shape, 125.3, 130.7)
    assert outline[apart < 97].all()
    assert not outline[apart > 103].any()


def test_no_outline_in_air():
    assert not patient_outline(np.full((64, 64), -1000.0)).any()


@pytest.mark.parametrize("radius", [64, 75])
def test_reconstruction_circle(radius):
    # Some of the air has the padding's value.
    image = np.random.default_rng(0).normal(-1000, 20, (128, 128)).clip(-1024)
    truth = distance(image.shape, 63.5, 63.5) <= radius
    circle = reconstruction_circle(np.where(truth, image, -1024))
    assert (circle != truth).mean() < 0.01
    assert not circle[0, 0] and circle[64, 2]


def test_without_padding_everything_is_reconstructed():
    image = np.random.default_rng(0).normal(0, 20, (32, 40))
    image[0, 0] = -1024
    assert reconstruction_circle(image).all()


@pytest.mark.parametrize("noise_hu", [0, 60])
def test_tissues_hold_their_own_pixels_only(phantom, noise_hu):
    masks, clean = tissue_masks(phantom(noise_hu, seed=1)), phantom()
    for tissue, value in {"lung": -850, "fat": -100, "soft_tissue": 50, "bone": 600}.items():
        inside = masks[tissue]
        near = np.abs(clean - value) < 10
        assert near[inside].mean() > 0.98
        assert inside.sum() > 0.6 * (near & patient_outline(clean)).sum()
    assert not np.sum(list(masks.values()), axis=0).max() > 1


def test_edges_are_eroded(phantom):
    wide, narrow = (tissue_masks(phantom(), margin_px=margin)["bone"] for margin in (0, 4))
    apart = distance(wide.shape, 180.2, 129.6)
    assert apart[wide].max() - apart[narrow].max() == pytest.approx(4, abs=1.5)


def test_flat_regions_avoid_structure_and_each_other(phantom):
    image = phantom(20)
    rows, columns = np.ogrid[:256, :256]
    image += 40 * np.sin(2 * np.pi * rows / 20) * (columns < 130)  # vessels, on one side
    regions = flat_regions(image, size=32, count=3)
    assert regions and regions == flat_regions(image, size=32, count=3)
    clean, taken = phantom(), np.zeros(image.shape, int)
    for region in regions:
        assert np.abs(clean[region] - 50).max() < 5
        assert region[1].start >= 115
        assert (region[0].stop - region[0].start, region[1].stop - region[1].start) == (32, 32)
        taken[region] += 1
    assert taken.max() == 1


def test_flattest_region_first_and_no_more_than_asked():
    image = np.full((256, 256), -1000.0)
    image[20:236, 20:236] = 40
    image[20:236, 20:236] += np.random.default_rng(0).normal(0, 1, (216, 216)) * np.linspace(50, 1, 216)
    regions = flat_regions(image, size=24, count=30)
    assert len(regions) == 30
    std = [image[region].std() for region in regions]
    assert std[0] < 10 and std[-1] > 20
    assert flat_regions(image, size=24, count=4) == regions[:4]


def test_nowhere_flat(phantom):
    assert flat_regions(phantom(), structure_limit_hu=-1) == []
    assert flat_regions(np.full((64, 64), -1000.0)) == []
    assert flat_regions(np.full((16, 16), 40.0)) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: body_mask(np.zeros((2, 3, 4))),
        lambda: body_mask([[np.nan, 0]]),
        lambda: tissue_masks(np.zeros((64, 64)), margin_px=-1),
        lambda: flat_regions(np.zeros((64, 64)), size=4),
        lambda: flat_regions(np.zeros((64, 64)), count=0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()


# tissue, lowest and highest HU
@pytest.mark.parametrize(
    ("tissue", "low", "high"),
    [("lung", -950, -500), ("fat", -190, -30), ("soft_tissue", -29, 150), ("bone", 200, None)],
)
def test_limits_of_the_tissues(tissue, low, high):
    def found(value: float) -> set[str]:
        image = np.full((96, 96), -1000.0)
        image[8:88, 8:88] = 40
        image[30:66, 30:66] = value
        masks = tissue_masks(image)
        return {name for name, mask in masks.items() if mask[40:56, 40:56].all()}

    assert found(low + 0.5) == {tissue} and tissue not in found(low - 0.5)
    if high is None:
        assert found(3000) == {tissue}
    else:
        assert found(high - 0.5) == {tissue} and tissue not in found(high + 0.5)
