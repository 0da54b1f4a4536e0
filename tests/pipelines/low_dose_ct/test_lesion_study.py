# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from noisewise.pipelines.low_dose_ct.folds import Pair
from noisewise.pipelines.low_dose_ct.lesion_study import LesionTask, lesion_study

SETTINGS = {"square_px": 25, "diameter_mm": 4.0, "draws": 50}


def make_pairs(count=10, kernels=("B30f", "D45f"), offset=30.0):
    """Water with white noise of 20 HU, and 40 HU in the quarter dose; half of each slice is denser by ``offset``."""
    generator = np.random.default_rng(0)
    rows, columns = np.ogrid[:128, :128]
    body = np.where(np.hypot(rows - 63.5, columns - 63.5) < 62, 40.0, -1000.0)
    body[:, 64:] += offset
    for index in range(count):
        full = body + generator.normal(0, 20, body.shape)
        low = full + generator.normal(0, np.sqrt(1200), body.shape)
        yield Pair(low, full, kernels[index % len(kernels)], "L001", f"slice{index}")


@pytest.fixture(scope="module")
def rows():
    def blur(pair):
        return ndimage.gaussian_filter(pair.low, 1.0)

    def erase(pair):
        # A filter alone would be undone by the observer: what is blurred away is replaced by noise.
        fresh = np.random.default_rng(int(pair.image_id.removeprefix("slice"))).normal(0, 40, pair.low.shape)
        return ndimage.gaussian_filter(pair.low, 6.0) + fresh

    denoisers = {"identity": lambda pair: pair.low, "blur": blur, "erase": erase}
    found = lesion_study(make_pairs(16), denoisers, LesionTask(**SETTINGS))
    return {(row["kernel"], row["method"]): row for row in found}


def test_a_row_for_each_kernel_and_method(rows):
    methods = ("full_dose", "quarter_dose", "identity", "blur", "erase")
    assert list(rows) == [(kernel, method) for kernel in ("soft", "sharp") for method in methods]
    for (kernel, _), row in rows.items():
        assert row["slices"] == 8 and 24 <= row["regions"] <= 64
        assert row["contrast_hu"] == {"soft": 15.0, "sharp": 40.0}[kernel] and row["diameter_mm"] == 4.0


def test_observer_is_as_good_as_theory(rows):
    # In white noise d' = |signal| / noise, and a disk of 4 mm covers pi (2 / 0.7)^2 pixels; its blur and the
    # background's mean, which the observer must estimate, cost a little.
    for method, noise in (("full_dose", 20), ("quarter_dose", 40)):
        ideal = 15 * np.sqrt(np.pi * (2 / 0.7) ** 2) / noise
        assert rows["soft", method]["d_prime"] == pytest.approx(0.85 * ideal, abs=0.35 * ideal)


def test_identity_is_the_quarter_dose(rows):
    for kernel in ("soft", "sharp"):
        quarter, identity = ({**rows[kernel, name], "method": ""} for name in ("quarter_dose", "identity"))
        assert identity == quarter


def test_blur_gives_the_observer_nothing_and_erasing_takes_it(rows):
    for kernel in ("soft", "sharp"):
        full, quarter, blur, erase = (
            rows[kernel, name]["d_prime"] for name in ("full_dose", "quarter_dose", "blur", "erase")
        )
        assert full > 1.3 * quarter
        assert blur == pytest.approx(quarter, rel=0.2)
        assert erase < 0.5 * quarter
        assert rows[kernel, "full_dose"]["auc"] >= rows[kernel, "quarter_dose"]["auc"] > 0.6


def test_higher_contrast_is_seen_better_and_spread_is_that_of_slices(rows):
    assert rows["sharp", "quarter_dose"]["d_prime"] > 1.8 * rows["soft", "quarter_dose"]["d_prime"]
    for row in rows.values():
        assert 0 < row["d_prime_sd"] < 1.0 and 0 <= row["auc_sd"] < 0.1


def test_organs_of_different_hu_are_no_noise():
    task = LesionTask(**SETTINGS | {"draws": 2})
    found = [lesion_study(make_pairs(8, ("B30f",), offset), {}, task)[0] for offset in (0.0, 90.0)]
    assert found[1]["d_prime"] == pytest.approx(found[0]["d_prime"], rel=0.35)


def test_the_denoiser_is_told_patient_and_kernel():
    seen = set()

    def denoise(pair):
        seen.add((pair.subject, pair.kernel, pair.image_id))
        return pair.low

    lesion_study(make_pairs(4, ("D45f",)), {"own": denoise}, LesionTask(**SETTINGS))
    assert seen == {("L001", "D45f", f"slice{index}") for index in range(4)}


@pytest.mark.parametrize(
    ("options", "denoisers", "cause"),
    [
        ({}, {"full_dose": lambda pair: pair.low}, "full_dose is the name of a dose"),
        ({}, {"crop": lambda pair: pair.low[1:]}, "crop returned the shape"),
        ({"diameter_mm": 9.0}, {}, "too small around a disk"),
        ({"contrast_hu": {"sharp": 40.0}}, {}, "no contrast is given for its kernel 'B30f'"),
        ({"channels": 60}, {}, "60 channels need 62"),
    ],
)
def test_names_what_is_wrong(options, denoisers, cause):
    with pytest.raises(ValueError, match=cause):
        lesion_study(make_pairs(2), denoisers, LesionTask(**SETTINGS | options))
