# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The measurement against noise of known parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.noise_measurement import measure_noise
from noisewise.pipelines.noise_measurement.report import noise_report
from noisewise.transforms import NoiseColor, RealisticNoise, simulate_realistic_noise

COLORS = {
    "a narrow kernel": NoiseColor("gaussian", 0.6, 0.6),
    "a wide kernel": NoiseColor("gaussian", 1.5, 1.5),
    "one axis alone": NoiseColor("gaussian", 1.0, 0.0),
    "linear enlargement": NoiseColor("resampled", 1.4, 1.4),
    "cubic enlargement": NoiseColor("resampled", 1.4, 1.4, order=3),
    "a band of k-space": NoiseColor("kspace", 0.7, 0.7),
}


def ramp(size=192):
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    return 0.15 + 0.6 * x + 0.1 * np.sin(9 * y)


def camera():
    data = pytest.importorskip("skimage.data")
    return data.camera()[:384, :384] / 255


SCENES = {"smooth": ramp, "photograph": camera}


def noisy(clean, **noise):
    image = torch.from_numpy(np.array(clean, np.float32))[None]
    return simulate_realistic_noise(image, RealisticNoise(seed=7, **noise))[0][0].numpy()


def measured(clean, **noise):
    return measure_noise(noisy(clean, **noise), intensity_range=(0, 1))


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("level", [5, 25, 75])
def test_white_noise(scene, level):
    found = measured(SCENES[scene](), additive=level)
    assert found.gray_levels == pytest.approx(level, rel=0.12)
    assert found.suggested_weights == "white" and found.color.high_to_middle > 0.8
    assert not found.magnitude and not found.clipped and not found.eight_bit
    assert max(map(abs, found.color.rows + found.color.columns)) < 0.1


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("color", COLORS.values(), ids=COLORS)
@pytest.mark.parametrize("level", [5, 25])
def test_colored_noise(scene, color, level):
    found = measured(SCENES[scene](), additive=level, color=color)
    assert found.suggested_weights == "colored" and found.color.high_to_middle < 0.3
    assert found.gray_levels == pytest.approx(level, rel=0.25)
    assert max(found.color.rows[0], found.color.columns[0]) > 0.2


@pytest.mark.parametrize("scene", SCENES)
def test_a_clean_image_is_called_white(scene):
    found = measured(SCENES[scene]())
    assert found.suggested_weights == "white" and found.gray_levels < 1


@pytest.mark.parametrize("noise", [{"speckle": 25}, {"poisson": 25}, {"additive": 75, "quantize": True}])
def test_other_white_noise_is_called_white(noise):
    assert measured(ramp(), **noise).suggested_weights == "white"


def test_the_curve_finds_the_kind_of_noise():
    parts = {}
    for name in ("additive", "poisson", "speckle"):
        curve = measured(ramp(384), **{name: 25}).curve
        parts[name] = np.array([curve.constant, curve.linear, curve.quadratic]) * 255**2
        assert np.all(np.diff(curve.intensity) > 0)
    # At the mean intensity of about 0.45, each kind's own term makes most of the variance.
    at_mean = {name: each * 0.45 ** np.arange(3) for name, each in parts.items()}
    assert at_mean["additive"][0] > 0.8 * at_mean["additive"].sum()
    assert at_mean["speckle"][2] > 0.8 * at_mean["speckle"].sum()
    assert at_mean["poisson"].sum() == pytest.approx(25**2 * 0.45, rel=0.2)
    assert at_mean["poisson"][0] < 0.2 * at_mean["poisson"].sum()


def test_the_unit_of_the_image_is_kept():
    image = noisy(ramp(), additive=25)
    unit, scaled = measure_noise(image, (0, 1)), measure_noise(2000 * image - 1000, (-1000, 1000))
    assert scaled.level == pytest.approx(2000 * unit.level, rel=1e-3)
    assert scaled.gray_levels == pytest.approx(unit.gray_levels, rel=1e-3)
    assert scaled.curve.intensity[0] == pytest.approx(2000 * unit.curve.intensity[0] - 1000, abs=0.1)
    assert scaled.curve.std_at(900.0) == pytest.approx(2000 * unit.curve.std_at(0.45), rel=1e-3)


def test_a_magnitude_image_is_told_by_its_background():
    clean = np.zeros((256, 256))
    clean[64:192, 64:192] = 0.6
    assert measured(clean, additive=15, coils=1).magnitude
    assert not measured(clean + 0.12, additive=15).magnitude
    assert not measured(clean, additive=15).magnitude


def test_clipping_and_eight_bits_are_told():
    bytes_ = (255 * noisy(0.2 * ramp(), additive=50, quantize=True)).round().astype(np.uint8)
    found = measure_noise(bytes_)
    assert found.clipped and found.eight_bit and found.at_lowest > 0.1 and found.at_highest < 0.01
    # A black border is no clipping.
    framed = np.zeros((256, 256))
    framed[64:192, 64:192] = noisy(np.full((128, 128), 0.5), additive=10)
    assert not measure_noise(framed, (0, 1)).clipped


def test_a_masked_background_does_not_hide_the_noise():
    framed = np.zeros((256, 256))
    framed[64:192, 64:192] = noisy(ramp(128), additive=25)
    curve = measure_noise(framed, (0, 1)).curve
    assert 255 * np.median(curve.std) == pytest.approx(25, rel=0.1)


def test_stacks_and_colors():
    images = np.stack([noisy(ramp() + shift, additive=25) for shift in (0.0, 0.05, 0.1)])
    stack = measure_noise(images, (0, 1))
    color = measure_noise(np.moveaxis(images, 0, -1), (0, 1))
    assert stack.gray_levels == pytest.approx(25, rel=0.1) and color.gray_levels == pytest.approx(25, rel=0.1)
    gray = measure_noise(np.repeat(images[0][..., None], 3, -1), (0, 1))
    assert gray.level == measure_noise(images[0], (0, 1)).level


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 64)), "constant"),
        (np.zeros((8, 64)), "at least 32"),
        (np.full((64, 64), np.nan), "NaN"),
        (np.zeros(64), "shape"),
        (np.zeros((64, 64), complex), "complex"),
    ],
)
def test_what_cannot_be_measured_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        measure_noise(image)


def test_a_range_that_does_not_rise_is_refused():
    with pytest.raises(ValueError, match="must rise"):
        measure_noise(noisy(ramp(), additive=5), (1, 1))


def test_the_report_names_everything():
    lines = noise_report(measured(ramp(), additive=25, color=COLORS["a wide kernel"]), "HU")
    text = "\n".join(lines)
    for word in (
        "level:",
        "HU",
        "over intensity:",
        "variance =",
        "autocorrelation:",
        "spectrum:",
        "magnitude noise:",
        "clipped:",
        "weights for colored noise",
    ):
        assert word in text
