# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit passes noise, and finds structure in what was removed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from noisewise.pipelines.audit.picture import audit_picture
from noisewise.pipelines.audit.residual import at_full_strength, audit_residual, significance_map, summarize_audits

SIDE = 128
SIGMA = 10.0


def phantom() -> np.ndarray:
    """Disks and a ramp, 20 to 240, with edges of every direction and flat regions."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    image = 20 + 60 * columns / SIDE
    for row, column, radius, height in ((40, 40, 25, 80), (85, 80, 30, 110), (30, 100, 12, 50), (100, 25, 6, 90)):
        image += height * (np.hypot(rows - row, columns - column) < radius)
    return image.astype(np.float32)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return (SIGMA * np.random.RandomState(seed).standard_normal(shape)).astype(np.float32)


def disk(row: int, column: int, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (np.hypot(rows - row, columns - column) <= radius).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_white_noise_passes_and_its_level_is_found(seed):
    removed = noise(SIDE, SIDE, seed=seed)
    audit = audit_residual(phantom() + removed, removed, "HU")
    assert audit.warnings == () and audit.places == () and audit.unit == "HU"
    assert audit.std == pytest.approx(SIGMA, rel=0.02) and audit.robust_std == pytest.approx(SIGMA, rel=0.03)
    assert audit.std == pytest.approx(float(removed.std()), rel=1e-4)
    assert audit.mean == pytest.approx(float(removed.mean()), abs=1e-4)
    assert max(map(abs, audit.autocorrelation)) < 0.04 and abs(audit.structure_correlation) < 0.04


def test_noise_whose_strength_follows_the_image_passes():
    image = phantom()
    removed = image / 100 * noise(SIDE, SIDE)
    assert audit_residual(image + removed, removed).warnings == ()


@pytest.mark.parametrize("strength", [1.0, 0.8, 0.5, 0.3, 0.1, 0.01])
def test_the_verdict_does_not_depend_on_the_strength(strength):
    # Fine detail that correlates with itself: at low strength, what is left of it is still in the denoised image.
    grain = ndimage.gaussian_filter(noise(SIDE, SIDE), 1.2)
    for full in (noise(SIDE, SIDE), grain, noise(SIDE, SIDE) + 3 * SIGMA * disk(64, 30, 6)):
        noisy = phantom() + full
        one = audit_residual(noisy, full)
        removed = np.float32(strength) * full
        other = audit_residual(noisy, at_full_strength(removed, strength))
        assert other.warnings == one.warnings
        assert other.structure_correlation == pytest.approx(one.structure_correlation, abs=1e-3)
        assert other.std == pytest.approx(one.std, rel=1e-4)


def test_judged_against_its_own_result_honest_noise_looks_like_structure_at_low_strength():
    grain = ndimage.gaussian_filter(noise(SIDE, SIDE), 1.2)
    noisy, removed = phantom() / 20 + grain, np.float32(0.1) * grain
    assert audit_residual(noisy, removed).structure_correlation > 0.14
    assert audit_residual(noisy, at_full_strength(removed, 0.1)).structure_correlation < 0.05


def test_full_strength_changes_no_bit():
    removed = noise(SIDE, SIDE)
    assert at_full_strength(removed, 1.0) is removed and at_full_strength(removed, 0.0) is removed
    assert at_full_strength(removed, 0.5).dtype == np.float32
    with pytest.raises(ValueError, match="strength"):
        at_full_strength(removed, 1.5)


@pytest.mark.parametrize("width", [1.5, 3.0])
def test_too_much_smoothing_is_seen(width):
    noisy = phantom() + noise(SIDE, SIDE)
    audit = audit_residual(noisy, noisy - ndimage.gaussian_filter(noisy, width))
    assert any("edges" in warning for warning in audit.warnings) and audit.structure_correlation > 0.14


@pytest.mark.parametrize(("radius", "contrast"), [(10, 1), (5, 2), (3, 4)])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_erased_lesion_is_found_where_it_was(radius, contrast, sign):
    removed = noise(SIDE, SIDE) + sign * contrast * SIGMA * disk(64, 30, radius)
    audit = audit_residual(phantom() + removed, removed)
    assert len(audit.places) == 1 and any("row" in warning for warning in audit.warnings)
    place = audit.places[0]
    assert np.hypot(place.row - 64, place.column - 30) <= 4
    assert np.sign(place.significance) == sign
    assert f"row {place.row}, column {place.column}" in " ".join(audit.warnings)


def test_a_lesion_at_the_border_and_beside_frozen_pixels_is_no_stronger_than_inside():
    frozen = np.zeros((SIDE, SIDE), bool)
    frozen[:, :40] = True
    maps = [significance_map(phantom(), noise(SIDE, SIDE, seed=seed), frozen) for seed in range(10)]
    spread = np.std(maps, axis=0)
    assert spread[:, :40].max() == 0
    inside, border, beside = spread[20:-20, 60:-20].mean(), spread[0, 60:-20].mean(), spread[20:-20, 40].mean()
    assert border == pytest.approx(inside, rel=0.2) and beside == pytest.approx(inside, rel=0.2)


def test_frozen_pixels_do_not_count():
    removed, frozen = noise(SIDE, SIDE), disk(64, 64, 15) > 0
    bad = np.where(frozen, np.float32(500), removed)
    noisy = phantom() + removed
    assert audit_residual(noisy, bad).warnings
    audit = audit_residual(*(np.where(frozen, np.float32(np.nan), each) for each in (noisy, bad)), frozen=frozen)
    assert audit.warnings == () and audit.std == pytest.approx(float(removed[~frozen].std()), rel=1e-4)
    assert audit_residual(noisy, bad, frozen=np.ones_like(frozen)).std == 0


def test_correlated_noise_gives_a_warning():
    removed = ndimage.gaussian_filter(noise(SIDE, SIDE), 1)
    audit = audit_residual(phantom() + removed, removed)
    assert audit.largest_autocorrelation == pytest.approx(np.exp(-0.25), abs=0.05)
    assert any("alike" in warning for warning in audit.warnings)
    expected = audit_residual(phantom() + removed, removed, correlated_noise=True)
    assert not any("alike" in warning for warning in expected.warnings)
    assert expected.autocorrelation == audit.autocorrelation


def test_each_lag_is_measured_by_itself():
    removed = noise(SIDE, SIDE)
    removed = removed + np.roll(removed, 1, axis=0)
    values = audit_residual(phantom() + removed, removed).autocorrelation
    np.testing.assert_allclose(values, [0, 0.5, 0, 0, 0], atol=0.04)


def test_a_shift_of_the_brightness_gives_a_warning():
    removed = noise(SIDE, SIDE) + 3
    (warning,) = audit_residual(phantom() + removed, removed, "HU").warnings
    assert "brightness" in warning and "2.94 HU" in warning
    assert "brightness" in audit_residual(phantom(), np.full((SIDE, SIDE), 3, np.float32)).warnings[0]


@pytest.mark.parametrize("image", [phantom(), np.zeros((SIDE, SIDE), np.float32), np.full((20, 30, 3), 7.0)])
def test_nothing_removed_gives_no_warning(image):
    audit = audit_residual(image, np.zeros_like(image))
    assert audit.warnings == () and audit.std == 0 and audit.places == ()


def test_noise_of_a_constant_image_passes():
    removed = noise(SIDE, SIDE)
    # The denoised image holds only rounding errors, which are not structure.
    assert audit_residual(np.float32(1000) + removed, removed).warnings == ()


def test_color():
    removed = noise(SIDE, SIDE, 3)
    noisy = phantom()[..., None] + removed
    assert audit_residual(noisy, removed).warnings == ()
    lesion = np.stack([0 * phantom(), 3 * SIGMA * disk(50, 90, 6), 0 * phantom()], axis=-1)
    (place,) = audit_residual(noisy + lesion, removed + lesion).places
    assert np.hypot(place.row - 50, place.column - 90) <= 3


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (1, 40), (2, 2, 3), (0, 4)])
def test_tiny_images(shape):
    audit = audit_residual(noise(*shape) + 100, noise(*shape))
    assert audit.warnings == () and np.isfinite([audit.std, audit.mean, *audit.autocorrelation]).all()


@pytest.mark.parametrize("factor", [1 / 255, 16.0, 1e6])
def test_the_unit_scales_the_numbers_but_changes_no_warning(factor):
    removed = noise(SIDE, SIDE) + 2 * SIGMA * disk(64, 30, 6)
    noisy = phantom() + removed
    one = audit_residual(noisy, removed)
    other = audit_residual((noisy * factor).astype(np.float32), (removed * factor).astype(np.float32))
    assert other.std == pytest.approx(one.std * factor, rel=1e-5)
    assert one.warnings == other.warnings and len(one.warnings) == 1
    assert [(p.row, p.column) for p in one.places] == [(p.row, p.column) for p in other.places]


def test_bad_input_is_refused():
    image = phantom()
    with pytest.raises(ValueError, match="expected two arrays"):
        audit_residual(image, image[1:])
    with pytest.raises(ValueError, match="frozen"):
        audit_residual(image, image, frozen=np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="NaN"):
        audit_residual(image, np.full_like(image, np.nan))


def test_audits_of_a_volume_are_summarized():
    good = audit_residual(phantom() + noise(SIDE, SIDE), noise(SIDE, SIDE), "HU")
    removed = noise(SIDE, SIDE) + 3 * SIGMA * disk(64, 30, 6)
    bad = audit_residual(phantom() + removed, removed, "HU")
    summary = summarize_audits([good, bad, replace(good, std=2 * good.std)])
    assert json.loads(json.dumps(summary)) == summary
    assert summary["slices"] == 3 and summary["slices_with_warnings"] == 1 and summary["worst_slice"] == 1
    assert summary["places"] == 1 and summary["unit"] == "HU" and summary["largest_std"] == 2 * good.std
    assert summary["std"] == pytest.approx(np.sqrt((5 * good.std**2 + bad.std**2) / 3))
    assert len(summary["warnings"]) == 1 and summary["warnings"][0].endswith(": 1 of 3 slices")
    assert summarize_audits([])["worst_slice"] is None
    as_json = json.loads(json.dumps(bad.to_dict()))
    assert as_json == bad.to_dict() and as_json["places"][0]["row"] == bad.places[0].row


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (SIDE, SIDE, 3), (1, 1)])
def test_picture(tmp_path, shape):
    removed = noise(*shape)
    noisy = (removed + 100).astype(np.float32)
    audit = audit_residual(noisy, removed)
    path = audit_picture(tmp_path / "a" / "audit.png", noisy, noisy - removed, removed, audit, dots_per_inch=30)
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.size == (378, 132)
    assert [each.name for each in path.parent.iterdir()] == ["audit.png"]


def test_the_picture_circles_what_was_flagged(tmp_path):
    removed = noise(SIDE, SIDE) + 3 * SIGMA * disk(64, 30, 8)
    noisy = phantom() + removed
    audit = audit_residual(noisy, removed)
    pictures = []
    for name, each in (("with", audit), ("without", replace(audit, places=()))):
        path = audit_picture(tmp_path / name, noisy, noisy - removed, removed, each, dots_per_inch=60)
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")).astype(int))
    yellow = [((rgb[..., :2].min(-1) > 200) & (rgb[..., 2] < 80)).sum() for rgb in pictures]
    assert yellow[0] > 20 and yellow[1] == 0
