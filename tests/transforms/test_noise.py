# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise transforms: statistics of the draws, protocols, replay to the bit, reproducibility across workers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose
from monai.utils import set_determinism

from noisewise.transforms import (
    NOISE_PROTOCOLS,
    PATTERNS,
    MultiPatternNoise,
    MultiPatternNoised,
    NoisePlan,
    NoiseProtocol,
    NoiseRecord,
    RandMultiPatternNoise,
    RandMultiPatternNoised,
    RepeatGrayscaled,
    derive_seed,
    simulate_noise,
)

MID_GRAY = torch.full((1, 400, 400), 0.5)


def residual(pattern: str, std: float, image: torch.Tensor, seed: int = 1, **options) -> np.ndarray:
    return (simulate_noise(image, NoiseRecord(pattern, std, seed, **options)) - image).numpy()


# pattern, intensity, expected mean of the noise, expected std, both on the 0..255 scale for std = 25
STATISTICS = [
    ("gaussian", 0.5, 0.0, 25.0),
    ("gaussian", 0.0, 0.0, 25.0),
    ("correlated", 0.5, 0.0, 25.0),
    ("speckle", 0.5, 0.0, 12.5),
    ("speckle", 1.0, 0.0, 25.0),
    ("speckle", 0.0, 0.0, 0.0),
    ("poisson", 1.0, 0.0, 25.0),
    ("poisson", 0.25, 0.0, 12.5),
    ("salt_and_pepper", 0.5, 0.0, 25.0),
    ("rician", 0.0, 25 * np.sqrt(np.pi / 2), 25 * np.sqrt(2 - np.pi / 2)),
    ("rician", 1.0, 25**2 / 255 / 2, 25.0),
]


@pytest.mark.parametrize(("pattern", "intensity", "mean", "std"), STATISTICS)
def test_mean_and_std_of_each_pattern(pattern, intensity, mean, std):
    noise = residual(pattern, 25, torch.full((1, 400, 400), intensity)) * 255
    # 160,000 samples: a mean's standard error is std / 400, a std's std / 566; five of them are allowed. Correlated
    # noise has 4 pi times fewer independent samples for the mean (the sum of its correlations), and half as many for
    # the std.
    mean_error = 5 * 25 / 400 * (np.sqrt(4 * np.pi) if pattern == "correlated" else 1)
    assert noise.mean() == pytest.approx(mean, abs=mean_error)
    assert noise.std() == pytest.approx(std, abs=5 * 25 / 400 + 0.01 * std)


def test_quantization_error_has_the_stated_std_on_smooth_intensities():
    ramp = torch.linspace(0, 1, 100_000).reshape(1, 250, 400)
    assert residual("quantization", 5, ramp).std() * 255 == pytest.approx(5, rel=0.03)


def test_gaussian_and_speckle_equal_their_formulas():
    image = torch.rand(1, 16, 16)
    draw = np.random.RandomState(9).standard_normal((1, 16, 16)).astype(np.float32) * (30 / 255)
    np.testing.assert_allclose(residual("gaussian", 30, image, 9), draw, atol=1e-6)
    np.testing.assert_allclose(residual("speckle", 30, image, 9), image.numpy() * draw, atol=1e-6)


def test_correlated_noise_has_the_nominal_std_at_every_pixel():
    """Also at the border, and in images smaller than the kernel."""
    for shape in ((1, 12, 9), (1, 3, 2)):
        draws = np.stack([residual("correlated", 40, torch.full(shape, 0.5), seed) for seed in range(4000)]) * 255
        # The standard error of a std over 4000 draws is 1.1 %; five of them are allowed.
        np.testing.assert_allclose(draws.std(0), 40, rtol=0.056)


def test_correlated_noise_has_the_autocorrelation_of_a_gaussian_kernel():
    noise = residual("correlated", 25, torch.zeros(1, 1024, 1024))[0].astype(np.float64)
    power = np.abs(np.fft.fft2(noise)) ** 2
    autocorrelation = np.fft.ifft2(power).real
    autocorrelation /= autocorrelation[0, 0]
    for dx in range(6):
        for dy in range(6):
            # White noise through exp(-x^2 / 2) has the autocorrelation exp(-x^2 / 4).
            assert autocorrelation[dx, dy] == pytest.approx(np.exp(-(dx**2 + dy**2) / 4), abs=0.02)


def test_correlated_noise_equals_scipys_filter_of_the_same_draw():
    ndimage = pytest.importorskip("scipy.ndimage")
    image = torch.full((2, 30, 20), 0.5)
    white = np.random.RandomState(9).standard_normal((2, 38, 28))
    blurred = np.stack([ndimage.gaussian_filter(plane, 1.0, truncate=4.0) for plane in white])[:, 4:-4, 4:-4]
    impulse = np.zeros((9, 9))
    impulse[4, 4] = 1.0
    gain = np.sqrt((ndimage.gaussian_filter(impulse, 1.0, truncate=4.0, mode="constant") ** 2).sum())
    np.testing.assert_allclose(residual("correlated", 30, image, 9), blurred / gain * 30 / 255, atol=1e-6)


def test_correlated_noise_works_in_volumes():
    noise = residual("correlated", 25, torch.zeros(1, 40, 40, 40))[0] * 255
    assert noise.std() == pytest.approx(25, rel=0.05)
    for axis in range(3):
        first, second = np.moveaxis(noise, axis, 0)[:-1], np.moveaxis(noise, axis, 0)[1:]
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(np.exp(-1 / 4), abs=0.03)


def test_author_code_is_uniform_and_non_negative_on_minus_one_to_one():
    image = torch.full((1, 400, 400), 0.8)
    top = 75 / 255
    noise = residual("gaussian", 75, image, protocol="author_code") * 2  # back on [-1, 1]
    assert noise.min() >= -1e-6 and noise.max() <= top + 1e-6
    assert noise.mean() == pytest.approx(top / 2, abs=1e-3)
    assert noise.std() == pytest.approx(top / np.sqrt(12), abs=1e-3)
    speckle = residual("speckle", 75, image, protocol="author_code") * 2
    np.testing.assert_allclose(speckle, noise * 0.6, atol=1e-6)


# protocol, gray, whether the three channels get one draw
@pytest.mark.parametrize(
    ("protocol", "gray", "shared"),
    [
        ("physical", True, True),
        ("physical", False, False),
        ("published", True, False),
        ("published", False, False),
        ("author_code", True, False),
    ],
)
@pytest.mark.parametrize("pattern", ["gaussian", "speckle", "correlated"])
def test_channels_share_a_draw_only_in_gray_images_under_physical(protocol, gray, shared, pattern):
    if (pattern, protocol) == ("correlated", "author_code"):
        with pytest.raises(ValueError, match="author_code"):
            NoiseRecord(pattern, 50, 3, protocol)
        return
    image = torch.full((3, 200, 200), 0.7)
    if not gray:
        image[1] += 0.1
    noise = (MultiPatternNoise(pattern, 50, 3, protocol)(image) - image).numpy().reshape(3, -1)
    correlation = np.corrcoef(noise)[0, 1]
    assert correlation == pytest.approx(1.0 if shared else 0.0, abs=0.03)
    if shared:
        assert (noise[0] == noise[1]).all()


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_shared_draws_work_for_every_pattern(pattern):
    image = torch.rand(1, 20, 20).repeat(3, 1, 1)
    noisy = simulate_noise(image, NoiseRecord(pattern, 40, 5, shared=True))
    assert torch.equal(noisy[0], noisy[1]) and torch.equal(noisy[0], noisy[2])
    torch.testing.assert_close(noisy[:1], simulate_noise(image[:1], NoiseRecord(pattern, 40, 5)))


def test_the_item_says_whether_it_is_gray():
    white = {"image": torch.ones(3, 50, 50)}  # a saturated patch of a color image: equal channels, yet color
    color = MultiPatternNoised("image", "gaussian", 25, 1)({**white, "grayscale": False})["residual"]
    gray = MultiPatternNoised("image", "gaussian", 25, 1)({**white, "grayscale": True})["residual"]
    assert not torch.equal(color[0], color[1])
    assert torch.equal(gray[0], gray[1])
    repeated = RepeatGrayscaled("image")({"image": torch.rand(1, 8, 8)})
    assert repeated["image"].shape == (3, 8, 8) and repeated["grayscale"] is True
    assert RepeatGrayscaled("image")({"image": torch.rand(3, 8, 8)})["grayscale"] is False


def test_clipping_and_rounding():
    image = torch.rand(1, 64, 64)
    free = MultiPatternNoise("gaussian", 75, 2)(image)
    clipped = MultiPatternNoise("gaussian", 75, 2, clip=True)(image)
    rounded = MultiPatternNoise("gaussian", 75, 2, quantize=True)(image)
    assert free.min() < 0 and free.max() > 1
    assert torch.equal(clipped, free.clip(0, 1))
    torch.testing.assert_close(rounded * 255, (rounded * 255).round(), atol=1e-4, rtol=0)
    assert (rounded - clipped).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("channels", [1, 3])
def test_a_recorded_draw_is_replayed_to_the_bit(pattern, channels):
    transform = RandMultiPatternNoised("image", patterns=[pattern], std_range=(5, 75)).set_random_state(4)
    for _ in range(3):
        item = transform({"image": torch.rand(channels, 24, 20)})
        again = MultiPatternNoised("image")({"image": item["label"], "noise": item["noise"]})
        assert torch.equal(again["image"], item["image"])
        assert torch.equal(item["residual"], item["image"] - item["label"])
        assert again["noise"] == item["noise"]


def test_frozen_draw():
    """The stream of draws never changes, so that tables can always be reproduced."""
    noisy = MultiPatternNoise("gaussian", 25, 123)(torch.full((1, 2, 2), 0.5))
    np.testing.assert_allclose(
        noisy.numpy().ravel(), 0.5 + np.array([-1.0856306, 0.99734545, 0.2829785, -1.50629471]) * 25 / 255, rtol=1e-6
    )
    assert derive_seed(0, "image", "gaussian", 25.0) == 1156352466
    correlated = MultiPatternNoise("correlated", 25, 123)(torch.full((1, 2, 2), 0.5))
    np.testing.assert_allclose(correlated.numpy().ravel(), [0.57506037, 0.67532933, 0.58584136, 0.70466787], rtol=1e-6)


# protocol, pattern, noisy values at three pixels of three equal channels, and of three different ones
FROZEN = [
    ("physical", "gaussian", [0.43147561, 0.0813670, 0.53618902], [0.43147561, -0.02141165, 0.31803766]),
    ("physical", "speckle", [0.13314757, 0.15694687, 0.53626996], [0.13314757, 0.02830579, 0.39613152]),
    ("published", "gaussian", [0.43147561, 0.12148091, 0.39076486], [0.43147561, -0.02141165, 0.31803766]),
    ("published", "rician", [0.26560909, 0.40292886, 0.65198833], [0.26560909, 0.36360472, 0.58202821]),
    ("author_code", "gaussian", [0.10748121, 0.17919165, 0.55644685], [0.10748121, 0.03629908, 0.48371965]),
    ("author_code", "speckle", [0.09401503, 0.16849607, 0.53782421], [0.09401503, 0.02375609, 0.46217579]),
]


@pytest.mark.parametrize(("protocol", "pattern", "gray", "color"), FROZEN)
def test_frozen_draws_of_every_protocol(protocol, pattern, gray, color):
    ramp = torch.linspace(0.1, 0.9, 12).reshape(3, 4)
    replay = MultiPatternNoise(pattern, 50, 7, protocol)
    for channels, expected in (([ramp] * 3, gray), ([ramp, ramp**2, 1 - ramp], color)):
        noisy = replay(torch.stack(channels)).numpy().ravel()
        np.testing.assert_allclose(noisy[[0, 13, 30]], expected, rtol=1e-5)


# Dictionaries of earlier versions: a record with all fields, a plan without `shared`, a record from before clipping.
STORED = [
    {"pattern": "speckle", "std": 50.0, "seed": 7, "protocol": "physical", "shared": True, "clip": False,
     "quantize": False},
    {"pattern": "speckle", "std": 50.0, "seed": 7, "protocol": "physical", "clip": False, "quantize": False},
    {"pattern": "speckle", "std": 50.0, "seed": 7, "shared": True},
]  # fmt: skip


@pytest.mark.parametrize("stored", STORED)
def test_stored_dictionaries_of_earlier_versions_replay(stored):
    image = torch.linspace(0.1, 0.9, 12).reshape(1, 3, 4).repeat(3, 1, 1)
    item = MultiPatternNoised("image")({"image": image, "noise": stored})
    np.testing.assert_allclose(item["image"].numpy().ravel()[[0, 13, 30]], FROZEN[1][2], rtol=1e-5)
    assert item["noise"] == STORED[0]


def test_a_plan_leaves_the_channels_to_the_image_and_stays_as_it_is():
    gray = torch.rand(1, 9, 8).repeat(3, 1, 1)
    color = torch.rand(3, 9, 8)
    replay = MultiPatternNoise("gaussian", 25, 1)
    plan, before = replay.plan, replay.plan.as_dict()
    replay(gray)
    assert replay.record == NoiseRecord("gaussian", 25, 1, shared=True)
    replay(color)
    assert replay.record == NoiseRecord("gaussian", 25, 1, shared=False)
    assert replay.plan is plan and plan.as_dict() == before and "shared" not in before
    for image in (gray, color):
        record = plan.record_for(image)
        assert record.as_dict() == {**before, "shared": record.shared} and record.record_for(image) is record
        assert torch.equal(simulate_noise(image, plan), simulate_noise(image, record))
    assert plan.record_for(gray, grayscale=False).shared is False
    item = {"image": gray, "noise": plan.as_dict()}
    MultiPatternNoised("image")(item)
    assert item["noise"] == before


def test_a_protocol_is_added_in_one_place(monkeypatch):
    def brighten(clean, std, state):
        return clean + np.float32(std)

    protocol = NoiseProtocol(
        "adds a constant", {"gaussian": brighten}, remove_mean=lambda noisy, pattern, std: noisy - std
    )
    monkeypatch.setitem(NOISE_PROTOCOLS, "constant", protocol)
    image = torch.full((3, 4, 4), 0.25)
    item = MultiPatternNoised("image", "gaussian", 51, 0, protocol="constant")({"image": image})
    torch.testing.assert_close(item["image"], image + 0.2)
    assert item["noise"]["protocol"] == "constant" and item["noise"]["shared"] is False
    with pytest.raises(ValueError, match="'constant' only has gaussian"):
        NoisePlan("speckle", 51, 0, "constant")


def test_patterns_and_stds_are_uniform():
    transform = RandMultiPatternNoise().set_random_state(0)
    draws = []
    for _ in range(4000):
        transform.randomize()
        draws.append(transform.plan)
    share = Counter(draw.pattern for draw in draws)["gaussian"] / len(draws)
    assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))
    stds = np.array([draw.std for draw in draws])
    assert stds.min() >= 0 and stds.max() <= 75
    assert stds.mean() == pytest.approx(37.5, abs=4 * 75 / np.sqrt(12 * 4000))
    assert np.histogram(stds, 5, (0, 75))[0].min() > 700
    assert len({draw.seed for draw in draws}) == len(draws)


def test_random_state_and_determinism_reproduce():
    image = torch.rand(3, 16, 16)

    def two(transform):
        return torch.stack([transform(image), transform(image)])

    first = two(RandMultiPatternNoise().set_random_state(7))
    assert torch.equal(first, two(RandMultiPatternNoise().set_random_state(7)))
    assert not torch.equal(first, two(RandMultiPatternNoise().set_random_state(8)))
    assert not torch.equal(first[0], first[1])
    try:
        set_determinism(3)
        once = Compose([RandMultiPatternNoise()])(image)  # MONAI passes its seed on in Compose
        set_determinism(3)
        assert torch.equal(once, Compose([RandMultiPatternNoise()])(image))
    finally:
        set_determinism(None)


@pytest.mark.parametrize("workers", [0, 2])
def test_reproducible_across_data_loader_workers(workers):
    data = [{"image": torch.full((1, 8, 8), 0.5)} for _ in range(8)]

    def epoch():
        torch.manual_seed(11)
        transform = RandMultiPatternNoised("image")
        loader = DataLoader(Dataset(data, transform), batch_size=2, num_workers=workers)
        return torch.cat([batch["image"] for batch in loader])

    first, second = epoch(), epoch()
    assert torch.equal(first, second)
    assert len({tuple(image.ravel().tolist()) for image in first}) == len(data)


def test_kinds_dtypes_and_meta_are_kept():
    array = np.full((1, 6, 6), 0.5, np.float32)
    noisy = MultiPatternNoise("gaussian", 25, 1)(array)
    assert isinstance(noisy, np.ndarray) and noisy.dtype == np.float32
    assert torch.equal(torch.from_numpy(noisy), MultiPatternNoise("gaussian", 25, 1)(torch.from_numpy(array)))
    meta = MetaTensor(torch.from_numpy(array), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    out = MultiPatternNoise("gaussian", 25, 1)(meta)
    assert isinstance(out, MetaTensor) and torch.equal(out.affine, meta.affine)
    assert (array == 0.5).all()


def test_probability_zero_leaves_the_image_clean():
    item = RandMultiPatternNoised("image", prob=0.0)({"image": MID_GRAY})
    assert torch.equal(item["image"], MID_GRAY) and item["noise"]["std"] == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiPatternNoise("fog", 1, 0), "pattern must be one of .* got 'fog'"),
        (lambda: MultiPatternNoise("gaussian", -1, 0), "std must be a finite number"),
        (lambda: MultiPatternNoise("gaussian", float("nan"), 0), "std must be a finite number"),
        (lambda: MultiPatternNoise("gaussian", 1, -1), "seed must lie between"),
        (lambda: MultiPatternNoise("rician", 1, 0, "author_code"), "author_code"),
        (lambda: RandMultiPatternNoise(std_range=(75, 0)), "std_range"),
        (lambda: RandMultiPatternNoise(protocol="guess"), "protocol must be one of"),
        (lambda: RandMultiPatternNoise(patterns=["gaussian", "rician"], protocol="author_code"), "got 'rician'"),
        (lambda: RandMultiPatternNoise(patterns=[]), "at least one"),
        (lambda: RandMultiPatternNoised(["a", "b"]), "one key"),
        (lambda: MultiPatternNoised("image", pattern="gaussian"), "together"),
        (lambda: MultiPatternNoised("image")({"image": MID_GRAY}), "nothing to replay"),
        (lambda: MultiPatternNoise("gaussian", 1, 0)(torch.zeros(1, 4, 4, dtype=torch.uint8)), "float images"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_levels_are_uniform_from_the_lower_to_the_upper_end():
    transform = RandMultiPatternNoise(std_range=(20, 60)).set_random_state(0)
    stds = []
    for _ in range(2000):
        transform.randomize()
        stds.append(transform.plan.std)
    assert 20 <= min(stds) < 20.5 and 59.5 < max(stds) <= 60
    assert np.mean(stds) == pytest.approx(40, abs=1) and np.std(stds) == pytest.approx(40 / 12**0.5, rel=0.05)
    fixed = RandMultiPatternNoise(std_range=(25, 25)).set_random_state(0)
    fixed.randomize()
    assert fixed.plan.std == 25


@pytest.mark.parametrize("shared", [False, True])
def test_a_record_decides_whether_channels_share_a_draw_and_not_the_image(shared):
    """A gray image may have got a draw for each channel, a color image one for all."""
    image = torch.rand(1, 8, 9).repeat(3, 1, 1) if not shared else torch.rand(3, 8, 9)
    stored = NoiseRecord("gaussian", 25, 3, shared=shared).as_dict()
    item = MultiPatternNoised("image")({"image": image, "noise": stored})
    first, second, _ = item["residual"]
    assert torch.allclose(first, second, atol=1e-6) == shared
    assert item["noise"] == stored
