# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from noisewise.pipelines.low_dose_ct import body_rmse, flat_regions, residual_noise_std, score_slice, windowed

NOISE = 12.0


@pytest.fixture(scope="module")
def slices(phantom) -> dict[str, np.ndarray]:
    truth, full = phantom(), phantom(NOISE, seed=1)
    return {"truth": truth, "full": full, "quarter": full + phantom(math.sqrt(3) * NOISE, seed=2) - truth}


def test_the_truth_scores_0577_and_a_quarter_of_the_noise_one_half(slices):
    truth, quarter, full = slices["truth"], slices["quarter"], slices["full"]
    scores = score_slice(truth, quarter, full)
    assert scores["rmse_hu"] == pytest.approx(NOISE, rel=0.02)
    assert scores["rmse_ratio"] == pytest.approx(1 / math.sqrt(3), rel=0.02)
    body = full > -300
    assert scores["rmse_hu"] == pytest.approx(np.std((truth - full)[body]), rel=1e-3)
    kept = score_slice(truth + (quarter - truth) / 4, quarter, full)
    assert kept["rmse_ratio"] == pytest.approx(0.5, rel=0.02)


def test_noise_of_all_three(slices):
    truth, quarter, full = slices["truth"], slices["quarter"], slices["full"]
    scores = score_slice(truth + (quarter - truth) / 4, quarter, full)
    assert scores["noise_std_full_hu"] == pytest.approx(NOISE, rel=0.05)
    assert scores["noise_std_quarter_hu"] == pytest.approx(2 * NOISE, rel=0.05)
    assert scores["noise_std_hu"] == pytest.approx(NOISE / 2, rel=0.05)


def test_picture_against_independent_libraries(slices):
    metrics, sewar = pytest.importorskip("skimage.metrics"), pytest.importorskip("sewar.full_ref")
    window = (50.0, 350.0)
    scores = score_slice(slices["quarter"], slices["quarter"], slices["full"], window)
    shown, reference = (np.clip((slices[name] + 125) / 350, 0, 1) for name in ("quarter", "full"))
    assert scores["psnr_db"] == pytest.approx(metrics.peak_signal_noise_ratio(reference, shown, data_range=1), abs=1e-3)
    # MONAI takes windows inside the image only.
    _, ssim = metrics.structural_similarity(
        reference, shown, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert scores["ssim"] == pytest.approx(ssim[5:-5, 5:-5].mean(), abs=1e-4)
    assert scores["vif"] == pytest.approx(sewar.vifp(255 * reference, 255 * shown), abs=1e-4)


def test_bias_and_sharpness(slices):
    truth, quarter, full = slices["truth"], slices["quarter"], slices["full"]
    sharp = score_slice(truth + 5, quarter, full)
    blurred = score_slice(ndimage.gaussian_filter(truth, 1), quarter, full)
    for tissue in ("lung", "fat", "soft_tissue", "bone"):
        assert sharp[f"bias_{tissue}_hu"] == pytest.approx(5, abs=1)
    assert sharp["edge_ratio"] == pytest.approx(1, abs=0.02)
    assert blurred["edge_ratio"] == pytest.approx(0.8 / math.hypot(0.8, 1), rel=0.04)
    assert blurred["edge_ratio_to_quarter"] == pytest.approx(blurred["edge_ratio"], rel=0.03)
    assert sharp["f50_full"] == pytest.approx(math.sqrt(math.log(2) / 2) / math.pi / (0.8 * 0.7), rel=0.03)


def test_the_full_dose_alone_says_where_to_measure(slices):
    scores = score_slice(np.zeros_like(slices["full"]), slices["quarter"], slices["full"])
    assert scores["bias_bone_hu"] == pytest.approx(-600, abs=10)
    assert math.isnan(scores["edge_ratio"]) and scores["f50_full"] > 0


def test_sharpness_against_a_blurred_quarter_dose(slices):
    quarter = ndimage.gaussian_filter(slices["truth"], 1)
    assert score_slice(slices["truth"], quarter, slices["full"])["edge_ratio_to_quarter"] > 1.4


def test_the_full_dose_itself(slices):
    scores = score_slice(slices["full"], slices["quarter"], slices["full"])
    assert scores["rmse_hu"] == scores["rmse_ratio"] == 0
    assert scores["ssim"] == pytest.approx(1) and scores["vif"] == pytest.approx(1)
    assert scores["edge_ratio"] == 1


def test_what_a_slice_does_not_show_is_nan():
    rng = np.random.default_rng(0)
    full = np.full((64, 64), -1000.0) + rng.normal(0, 5, (64, 64))
    full[28:36, 28:36] = 40
    scores = score_slice(full, full + rng.normal(0, 9, full.shape), full)
    for name in ("noise_std_hu", "bias_lung_hu", "f50_full", "edge_ratio", "edge_ratio_to_quarter"):
        assert math.isnan(scores[name])
    assert math.isnan(score_slice(full, full, full)["rmse_ratio"])


def test_window_clips_at_both_ends():
    values = windowed(np.array([-1000, -160, -60, 40, 240, 3000]), (40, 400))
    np.testing.assert_allclose(values, [0, 0, 0.25, 0.5, 1, 1])


def test_bad_input(slices):
    full, air = slices["full"], np.full((64, 64), -1000.0)
    with pytest.raises(ValueError, match="shows no body"):
        body_rmse(air, air)
    with pytest.raises(ValueError, match="one shape"):
        score_slice(full[1:], full, full)
    with pytest.raises(ValueError, match="width"):
        score_slice(full, full, full, window=(40, 0))
    with pytest.raises(ValueError, match="spacing_mm"):
        score_slice(full, full, full, spacing_mm=-1)


def test_flat_regions_are_those_of_the_full_dose(phantom):
    """Structure that denoising made in flat tissue counts as remaining noise."""
    full, quarter = phantom(noise_hu=10, seed=1), phantom(noise_hu=20, seed=2)
    rows, columns = np.ogrid[: full.shape[0], : full.shape[1]]
    denoised = full + np.where((rows // 6 + columns // 6) % 2, 80.0, -80.0) * (columns < full.shape[1] // 2)
    expected = residual_noise_std(denoised, flat_regions(full, size=24))
    assert expected > 1.5 * residual_noise_std(denoised, flat_regions(denoised, size=24))
    assert score_slice(denoised, quarter, full)["noise_std_hu"] == pytest.approx(expected)
