# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage, special

from noisewise.pipelines.low_dose_ct import Edges, edge_response, edge_sharpness_ratio, find_edges

# Frequency at which exp(-2 (pi sigma f)^2) is one half, times sigma; and the normal distribution's 10 to 90 %.
F50_GAUSSIAN = math.sqrt(math.log(2) / 2) / math.pi
RISE_GAUSSIAN = 2 * 1.2815515655


@pytest.mark.parametrize("blur_px", [0.6, 1.0, 1.6])
@pytest.mark.parametrize("noise_hu", [0, 40])
def test_gaussian_blur_has_its_transfer_function(phantom, blur_px, noise_hu):
    image = phantom(noise_hu, blur_px)
    response = edge_response(image, find_edges(image), spacing_mm=0.7)
    assert response.f50 == pytest.approx(F50_GAUSSIAN / (0.7 * blur_px), rel=0.03)
    assert response.rise_mm == pytest.approx(RISE_GAUSSIAN * 0.7 * blur_px, rel=0.05)
    seen = response.frequency < 0.3 / 0.7
    truth = np.exp(-2 * (np.pi * 0.7 * blur_px * response.frequency) ** 2)
    np.testing.assert_allclose(response.transfer[seen], truth[seen], atol=0.03)


def test_noise_of_four_times_the_variance_is_no_blur_and_no_sharpening(phantom):
    full = phantom(35, seed=0)
    edges = find_edges(full)
    ratios = [edge_sharpness_ratio(full + phantom(60, seed=s) - phantom(), full, edges) for s in range(1, 6)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.015)
    assert np.ptp(ratios) < 0.06


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("noise_hu", [0, 35])
def test_blurring_lowers_the_ratio_as_gaussians_add_up(phantom, sigma, noise_hu):
    full = phantom(noise_hu, blur_px=0.8)
    ratio = edge_sharpness_ratio(phantom(blur_px=math.hypot(0.8, sigma)), full, find_edges(full))
    assert ratio == pytest.approx(0.8 / math.hypot(0.8, sigma), rel=0.04)


def test_filtering_the_noisy_slice_itself(phantom):
    full = phantom(35, blur_px=0.8)
    ratio = edge_sharpness_ratio(ndimage.gaussian_filter(full, 1.0), full, find_edges(full))
    assert ratio == pytest.approx(0.8 / math.hypot(0.8, 1.0), rel=0.03)


def test_sharpening_raises_the_ratio(phantom):
    full = phantom(20, blur_px=1.0)
    sharper = full + 0.7 * (full - ndimage.gaussian_filter(full, 1.0))
    assert edge_sharpness_ratio(sharper, full, find_edges(full)) > 1.15


def test_offset_and_contrast_do_not_matter(phantom):
    full = phantom(10)
    assert edge_sharpness_ratio(0.8 * full + 15, full, find_edges(full)) == pytest.approx(1, abs=0.005)


def test_edges_lie_on_the_body_and_not_on_the_table(phantom):
    image = phantom(30)
    edges = find_edges(image)
    assert edges.points > 500
    assert edges.rows.max() < 240
    body = np.hypot(edges.rows - 125.3, edges.columns - 130.7) > 93
    truth = 100.2 - np.hypot(edges.rows - 125.3, edges.columns - 130.7)
    assert np.abs(edges.distance_px - truth)[body].max() < 0.6
    assert np.abs(edges.distance_px - truth)[body].mean() < 0.08
    np.testing.assert_allclose(edges.contrast_hu[body].mean(), 1050, rtol=0.02)
    assert edges.low_hu.min() < -950 and edges.contrast_hu.min() >= 200


def test_truncation_at_the_reconstruction_circle_is_no_edge():
    rows, columns = np.ogrid[:128, :128]
    image = np.where(np.hypot(rows - 63.5, columns - 63.5) <= 64, 40.0, -1024.0)
    assert find_edges(image).points == 0


@pytest.mark.parametrize("slope, flat", [(0, True), (120, False)])
def test_edges_are_flat_on_both_sides(slope, flat):
    columns = np.arange(128) - 60
    image = np.tile(np.where(columns < 0, -400.0, slope * columns), (128, 1))
    assert (find_edges(image).points > 0) == flat


def test_beyond_the_end_of_an_edge_no_pixel_has_a_distance():
    rows, columns = np.ogrid[:128, :128]
    dark = np.minimum(-1000 + 10 * rows, -400)  # 500 HU below the bright side as far as row 54
    edges = find_edges(np.where(columns < 60, dark, 40.0), contrast_hu=500)
    assert 50 < edges.rows.max() <= 57


def test_weak_edges_are_left_out(phantom):
    image = phantom(5)
    assert (find_edges(image, contrast_hu=850).contrast_hu >= 850).all()
    assert find_edges(image, contrast_hu=2000).points == 0


def test_a_slice_that_lost_its_edges_has_no_f50(phantom):
    full = phantom(5)
    edges = find_edges(full)
    flat = np.zeros_like(full)
    assert math.isnan(edge_sharpness_ratio(flat, full, edges))
    assert math.isnan(edge_response(flat, edges).rise_mm)


def test_bad_input(phantom):
    image = phantom()
    with pytest.raises(ValueError, match="reach_px"):
        find_edges(image, reach_px=5)
    with pytest.raises(ValueError, match="contrast_hu"):
        find_edges(image, contrast_hu=0)
    with pytest.raises(ValueError, match="no edges"):
        edge_response(image, find_edges(image, contrast_hu=2000))
    with pytest.raises(ValueError, match="shape"):
        edge_response(image[1:], find_edges(image))
    with pytest.raises(ValueError, match="spacing_mm"):
        edge_response(image, find_edges(image), spacing_mm=0)


@pytest.mark.parametrize("blur_px", [0.3, 0.5])
def test_bins_do_not_blur_a_sharp_edge(blur_px):
    """An edge whose place is known exactly, sampled at points: all that may blur it besides are the bins."""
    rows, columns = (grid.ravel() for grid in np.mgrid[:200, :200])
    distance = (columns - 100) * np.cos(0.13) + (rows - 100) * np.sin(0.13)
    near = np.abs(distance) <= 8
    rows, columns, distance = rows[near], columns[near], distance[near]
    image = np.zeros((200, 200))
    image[rows, columns] = 300 * special.ndtr(distance / blur_px) - 100
    ones = np.ones(len(rows))
    edges = Edges(rows, columns, distance, -100 * ones, 300 * ones, 8.0, image.shape, points=200)
    response = edge_response(image, edges)
    truth = np.exp(-2 * (np.pi * blur_px * response.frequency) ** 2)
    assert response.frequency[-1] == pytest.approx(1)
    np.testing.assert_allclose(response.transfer, truth, rtol=0.03, atol=0.007)
