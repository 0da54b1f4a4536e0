# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Realistic noise: each part's statistics, targets, replay, the shares of the random transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.utils import set_determinism

from noisewise.transforms import (
    NoiseColor,
    RandPseudoColord,
    RandRealisticNoise,
    RandRealisticNoised,
    RealisticNoise,
    simulate_realistic_noise,
)


def flat(intensity: float, channels: int = 1, side: int = 300) -> torch.Tensor:
    return torch.full((channels, side, side), intensity)


def residual(noise: RealisticNoise, intensity: float, **options) -> np.ndarray:
    noisy, target = simulate_realistic_noise(flat(intensity), noise, **options)
    return (noisy - target).double().numpy() * 255


# noise, intensity, standard deviation by sqrt(additive^2 + poisson^2 x + speckle^2 x^2)
@pytest.mark.parametrize(
    ("noise", "intensity", "std"),
    [
        (RealisticNoise(1, additive=25), 0.0, 25.0),
        (RealisticNoise(1, poisson=20), 0.25, 10.0),
        (RealisticNoise(1, speckle=40), 0.5, 20.0),
        (RealisticNoise(1, additive=3, poisson=8, speckle=12), 0.25, np.sqrt(9 + 16 + 9)),
        (RealisticNoise(1, additive=25, color=NoiseColor("gaussian", 1, 1)), 0.5, 25.0),
        (RealisticNoise(1), 0.5, 0.0),
    ],
)
def test_standard_deviation_follows_the_intensity(noise, intensity, std):
    found = residual(noise, intensity)
    # 90,000 pixels, a quarter of them independent at worst: five standard errors.
    assert found.std() == pytest.approx(std, abs=5 * std / 200 + 1e-9)
    assert found.mean() == pytest.approx(0, abs=5 * std / 80 + 1e-5)


# coils, intensity, mean of the magnitude and its spread for sigma = 1 (chi distribution with 2 * coils degrees)
@pytest.mark.parametrize(
    ("coils", "intensity", "mean", "std"),
    [
        (1, 0.0, np.sqrt(np.pi / 2), np.sqrt(2 - np.pi / 2)),
        (4, 0.0, 2.741, 0.697),  # sqrt(2) * gamma(4.5) / gamma(4)
        (1, 1.0, 10.2 + 1 / 20.4, 1.0),  # far above the noise: sigma^2 / (2 signal)
    ],
)
def test_magnitude_noise(coils, intensity, mean, std):
    noisy, target = simulate_realistic_noise(flat(intensity), RealisticNoise(3, additive=25, coils=coils))
    assert float(target.mean()) == intensity
    values = noisy.double().numpy() * 255 / 25
    assert values.mean() == pytest.approx(mean, abs=0.02)
    assert values.std() == pytest.approx(std, abs=0.02)


def test_gain_map_varies_slowly_with_the_stated_spread():
    levels = []
    for seed in range(30):
        found = residual(RealisticNoise(seed, additive=25, gain_map=0.3), 0.5)[0]
        blocks = found.reshape(10, 30, 10, 30).transpose(0, 2, 1, 3).reshape(100, -1).std(1)
        levels.append(np.log(blocks / 25))
    levels = np.array(levels).reshape(30, 10, 10)
    assert levels.std() == pytest.approx(0.3, abs=0.12)
    assert np.abs(np.diff(levels, axis=1)).mean() < levels.std()


def test_impulses_replace_the_stated_share():
    noisy, _ = simulate_realistic_noise(flat(0.5), RealisticNoise(1, impulses=0.04))
    shares = [float((noisy == value).double().mean()) for value in (0.0, 1.0, 0.5)]
    np.testing.assert_allclose(shares, [0.02, 0.02, 0.96], atol=0.003)


def test_clipping_and_rounding_of_image_and_target():
    noise = RealisticNoise(1, additive=50, scale=1.5, offset=-0.2, quantize=True)
    noisy, target = simulate_realistic_noise(flat(0.9), noise)
    assert float(target.max()) == 1.0  # 0.9 * 1.5 - 0.2 = 1.15 cannot be stored
    assert torch.equal((noisy * 255).round() / 255, noisy) and float(noisy.min()) >= 0 and float(noisy.max()) == 1
    free, unclipped = simulate_realistic_noise(flat(0.9), RealisticNoise(1, additive=50, scale=1.5, offset=-0.2))
    assert float(unclipped.max()) == pytest.approx(1.15) and float(free.max()) > 1.3


def test_gray_images_share_one_draw_and_color_ones_do_not():
    noise = RealisticNoise(1, additive=25, color=NoiseColor("gaussian", 1, 1), gain_map=0.2)
    gray, _ = simulate_realistic_noise(flat(0.5, 3, 40), noise, shared=True)
    color, _ = simulate_realistic_noise(flat(0.5, 3, 40), noise)
    assert torch.equal(gray[0], gray[1]) and not torch.equal(color[0], color[1])


def test_a_record_replays_through_a_dictionary():
    transform = RandRealisticNoise(magnitude_prob=0.5, impulse_prob=0.5)
    transform.set_random_state(0)
    image = torch.rand(3, 30, 28, generator=torch.Generator().manual_seed(0))
    for _ in range(40):
        noisy, target = transform(image)
        record = RealisticNoise.from_dict(transform.record.as_dict())
        again = simulate_realistic_noise(image, record)
        assert torch.equal(noisy, again[0]) and torch.equal(target, again[1])
        assert torch.equal(transform(image, randomize=False)[0], noisy)


def test_random_shares_and_levels():
    transform = RandRealisticNoise(std_range=(0, 60), low_prob=0.3, color_prob=0.4, magnitude_prob=0.2)
    transform.set_random_state(0)
    records = []
    for _ in range(4000):
        transform.randomize()
        records.append(transform.record)
    # 4,000 draws: a share's standard error is below 0.008; four of them are allowed.
    shares = {
        "color": np.mean([record.color.kind != "white" for record in records]),
        "coils": np.mean([record.coils > 0 for record in records]),
        "gain": np.mean([record.gain_map > 0 for record in records]),
        "quantized": np.mean([record.quantize for record in records]),
        "scaled": np.mean([record.scale != 1 for record in records]),
    }
    expected = {"color": 0.4, "coils": 0.2 * 0.98, "gain": 0.15, "quantized": 0.3, "scaled": 0.25}
    assert shares == pytest.approx(expected, abs=0.032)
    levels = np.sqrt([record.additive**2 + record.poisson**2 + record.speckle**2 for record in records])
    assert levels.max() <= 60 and np.mean(levels < 15) == pytest.approx(0.3 + 0.7 / 4, abs=0.04)
    kinds = {record.color.kind for record in records}
    assert kinds == {"white", "gaussian", "resampled", "kspace", "detector", "lines"}


def test_dictionary_version_writes_target_residual_and_record():
    set_determinism(0)
    transform = RandRealisticNoised("image", clip_prob=1.0)
    transform.set_random_state(0)
    item = {"image": torch.rand(3, 24, 24), "grayscale": False, "name": "kept"}
    out = transform(item)
    set_determinism(None)
    noisy, target = simulate_realistic_noise(item["image"], RealisticNoise.from_dict(out["noise"]))
    assert torch.equal(out["image"], noisy) and torch.equal(out["label"], target)
    assert torch.equal(out["residual"], noisy - target) and out["name"] == "kept"


def test_pseudo_color_changes_gray_images_only():
    gray = torch.rand(1, 16, 16).expand(3, -1, -1)
    transform = RandPseudoColord("image", prob=1.0)
    transform.set_random_state(0)
    out = transform({"image": gray, "grayscale": True})
    assert out["grayscale"] is False and not torch.equal(out["image"][0], out["image"][1])
    assert float(out["image"].min()) >= 0 and float(out["image"].max()) <= 1.3
    # Edges stay where they are: each channel is a rising function of the gray image.
    order = gray[0].flatten().argsort()
    assert all(bool((channel.flatten()[order].diff() >= 0).all()) for channel in out["image"])
    colored = {"image": torch.rand(3, 16, 16), "grayscale": False}
    assert transform(colored)["image"] is colored["image"]
    never = RandPseudoColord("image", prob=0.0)({"image": gray, "grayscale": True})
    assert never["image"] is gray and never["grayscale"] is True


# arguments, what the message says
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must lie between"),
        ({"seed": 0, "additive": -1.0}, "additive must be a finite number"),
        ({"seed": 0, "impulses": 2.0}, "impulses must be a share"),
        ({"seed": 0, "coils": -1}, "coils must be at least 0"),
        ({"seed": 0, "scale": 0.0}, "scale must be positive"),
    ],
)
def test_bad_records_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RealisticNoise(**arguments)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="std_range must be"):
        RandRealisticNoise(std_range=(5, 1))
    with pytest.raises(ValueError, match="color_prob must be a share"):
        RandRealisticNoise(color_prob=1.2)
    with pytest.raises(ValueError, match="expected a float image"):
        simulate_realistic_noise(torch.zeros(1, 4, 4, dtype=torch.uint8), RealisticNoise(0))
    with pytest.raises(ValueError, match="one key"):
        RandRealisticNoised(["a", "b"])
