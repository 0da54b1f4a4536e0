# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from noisewise.networks import DnCNN
from noisewise.pipelines.bundle.precision import has_native_bfloat16
from noisewise.pipelines.denoising import Denoiser, EngineError
from noisewise.transforms import limit_outside


def reference(denoiser, slices, low, high):
    """The rule, written out: untiled, one slice at a time, in plain PyTorch."""
    unit = (slices.astype(np.float64) - low) / (high - low)
    unit = torch.from_numpy(unit.astype(np.float32))
    results = []
    for image in unit if unit.ndim == 3 else unit.movedim(-1, 1):
        image = limit_outside(image[None, None] if image.ndim == 2 else image[None])[0]
        image = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
        x = image[None].expand(3, -1, -1) if image.ndim == 2 else image.permute(2, 0, 1)
        with torch.no_grad():
            y = denoiser.model.network(x[None])[0]
        y = y.mean(0) if image.ndim == 2 else y.permute(1, 2, 0)
        results.append((y - image).numpy())
    return slices + np.stack(results).astype(np.float64) * (high - low)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 13), (1, 2000, 37), (1, 230, 230, 3), (3, 1, 64)])
def test_tiled_equals_untiled_in_float32(make_denoiser, shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    untiled = make_denoiser().denoise_slices(image, (0, 1))
    tiled = make_denoiser(tile_size=50).denoise_slices(image, (0, 1))
    assert np.abs(untiled - tiled).max() < 1e-5
    assert np.abs(untiled - reference(make_denoiser(), image, 0, 1)).max() < 1e-5
    assert np.abs(untiled - image).max() > 1e-3


def test_a_small_memory_leads_to_the_same_result_in_parts_that_fit(make_denoiser):
    image = np.random.default_rng(0).random((2, 300, 240), dtype=np.float32)
    denoiser = make_denoiser(memory=70_000 * 1200)
    shapes, parts = [], []
    engine = denoiser.engine()

    def spy(images):
        shapes.append(images.shape)
        return engine(images)

    spy.bytes_per_pixel = 1200
    denoiser._engines["float32"] = spy
    result = denoiser.denoise_slices(image, (0, 1), on_removed=parts.append)
    assert np.abs(result - make_denoiser().denoise_slices(image, (0, 1))).max() < 1e-5
    assert len(shapes) > 4 and max(b * h * w for b, _, h, w in shapes) <= 70_000
    removed = np.zeros_like(image)
    for part in parts:
        removed[(part.index, *part.core)] += part.values
    assert np.allclose(image - removed, result, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("uint8", 0, 255),
        ("int16", -1000, 1000),
        ("uint16", 0, 40000),
        ("uint16", 4095, 0),
        ("float64", -3, 5),
        ("int32", 0, 2**20),
    ],
)
def test_every_dtype_follows_the_rule_and_values_outside_pass(make_denoiser, dtype, low, high):
    rng = np.random.default_rng(1)
    image = rng.uniform(min(low, high), max(low, high), (2, 20, 18)).astype(dtype)
    beyond = np.dtype(dtype).type(255 if dtype == "uint8" else max(low, high) + 1700)
    image[0, 3, 4] = beyond
    result = make_denoiser(precision="float32").denoise_slices(image, (low, high))
    expected = reference(make_denoiser(), image, low, high)
    assert result.dtype == image.dtype and result.shape == image.shape
    tolerance = 1e-5 * abs(high - low) + (0.5 if image.dtype.kind != "f" else 0)
    if image.dtype.kind != "f":
        expected = np.clip(expected, np.iinfo(dtype).min, np.iinfo(dtype).max)
    assert np.abs(result - expected).max() <= tolerance


def test_integers_stay_in_the_stored_range_but_are_not_pulled_into_it(make_denoiser):
    image = np.random.default_rng(0).integers(0, 4096, (1, 24, 24)).astype(np.int16)
    image[0, :2] = 4095
    image[0, 5, 5] = 30000
    result = make_denoiser().denoise_slices(image, (0, 4095), stored_range=(0, 4095))
    inside = image <= 4095
    assert result[inside].min() >= 0 and result[inside].max() <= 4095
    assert result[0, 5, 5] > 4095


def test_64_bit_integers_beyond_double_precision_survive(make_denoiser):
    image = np.full((1, 4, 4), 2**62 + 1, np.int64)
    assert np.array_equal(make_denoiser().denoise_slices(image, (0, 1000), frozen=np.ones((1, 4, 4), bool)), image)


def test_one_range_a_slice(make_denoiser):
    image = np.random.default_rng(0).random((3, 16, 16))
    scaled = image * np.array([1, 10, 100])[:, None, None] + np.array([0, 5, -7])[:, None, None]
    low, high = np.array([0.0, 5, -7]), np.array([1.0, 15, 93])
    result = make_denoiser().denoise_slices(scaled, (low, high))
    expected = make_denoiser().denoise_slices(image, (0, 1))
    assert np.allclose((result - low[:, None, None]) / (high - low)[:, None, None], expected, atol=1e-6)


def test_an_inverted_range_is_the_inverted_image(make_denoiser):
    image = np.random.default_rng(0).random((1, 30, 30))
    inverted = make_denoiser().denoise_slices(1 - image, (1, 0))
    assert np.allclose(1 - inverted, make_denoiser().denoise_slices(image, (0, 1)), atol=1e-6)


def test_strength_blends(make_denoiser):
    image = np.random.default_rng(0).random((1, 20, 20))
    full = make_denoiser().denoise_slices(image, (0, 1))
    half = make_denoiser().denoise_slices(image, (0, 1), strength=0.5)
    none = make_denoiser().denoise_slices(image, (0, 1), strength=0)
    assert np.allclose(half, (image + full) / 2, atol=1e-7)
    assert np.array_equal(none, image)


def test_frozen_pixels_stay(make_denoiser):
    image = np.random.default_rng(0).random((2, 20, 20))
    frozen = np.zeros(image.shape, bool)
    frozen[1, 4:9] = True
    result = make_denoiser().denoise_slices(image, (0, 1), frozen=frozen)
    assert np.array_equal(result[frozen], image[frozen])
    assert (result[~frozen] != image[~frozen]).mean() > 0.99


def test_color_with_equal_channels_costs_one_gray_pass_and_comes_back_gray(make_denoiser):
    denoiser = make_denoiser()
    channels = []
    engine = denoiser.engine()

    def spy(images):
        channels.append(images.shape[1])
        return engine(images)

    spy.bytes_per_pixel = engine.bytes_per_pixel
    denoiser._engines["float32"] = spy
    gray = np.random.default_rng(0).random((1, 20, 20), dtype=np.float32)
    result = denoiser.denoise_slices(np.repeat(gray[..., None], 3, -1), (0, 1))
    assert channels == [1]
    assert np.array_equal(result[..., 0], result[..., 2])
    assert np.array_equal(result[..., 0], denoiser.denoise_slices(gray, (0, 1)))


def test_progress_adds_up_to_the_slices(make_denoiser):
    steps = []
    make_denoiser(tile_size=20).denoise_slices(np.zeros((3, 50, 45)), (0, 1), on_progress=steps.append)
    assert sum(steps) == pytest.approx(3)
    assert len(steps) > 3


def test_the_precision_follows_the_dtype(make_denoiser):
    denoiser = make_denoiser()
    assert denoiser.engine(eight_bit=False).precision == "float32"
    assert denoiser.engine(eight_bit=True).precision == ("bfloat16" if has_native_bfloat16() else "float32")


@pytest.mark.parametrize(
    ("slices", "limits", "options", "message"),
    [
        (np.zeros((4, 4)), (0, 1), {}, "shape"),
        (np.zeros((1, 4, 4, 2)), (0, 1), {}, "shape"),
        (np.zeros((1, 4, 4), complex), (0, 1), {}, "real numbers"),
        (np.zeros((1, 4, 4)), (1, 1), {}, "empty"),
        (np.zeros((1, 4, 4)), (0, np.inf), {}, "not finite"),
        (np.zeros((1, 4, 4)), (0, 1), {"strength": 1.5}, "strength"),
        (np.full((1, 4, 4), np.nan), (0, 1), {}, "NaN"),
        (np.zeros((1, 4, 4)), (0, 1), {"out": np.zeros((1, 4, 5))}, "out is"),
    ],
)
def test_what_cannot_be_denoised_is_refused(make_denoiser, slices, limits, options, message):
    with pytest.raises(ValueError, match=message):
        make_denoiser().denoise_slices(slices, limits, **options)


def test_infinite_values_are_refused_though_clipping_would_hide_them(make_denoiser):
    image = np.zeros((1, 4, 4), np.float32)
    image[0, 1, 1] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        make_denoiser().denoise_slices(image, (0, 1))


@pytest.mark.parametrize(
    ("options", "error"),
    [({"engine": "abacus"}, EngineError), ({"precision": "int4"}, EngineError), ({"tile_size": 0}, ValueError)],
)
def test_unknown_options_are_refused(make_denoiser, options, error):
    with pytest.raises(error):
        make_denoiser(**options)


def test_a_network_of_unknown_reach_is_never_tiled(tmp_path):
    torch.save(DnCNN(depth=3, features=4).state_dict(), tmp_path / "dncnn.pt")
    config = tmp_path / "dncnn.yaml"
    config.write_text("network_def: {_target_: noisewise.networks.DnCNN, depth: 3, features: 4}")
    denoiser = Denoiser(tmp_path / "dncnn.pt", engine="torch", device="cpu", config=config, tile_size=16)
    assert denoiser.denoise_slices(np.zeros((1, 16, 16)), (0, 1)).shape == (1, 16, 16)
    with pytest.raises(ValueError, match="cannot be tiled"):
        denoiser.denoise_slices(np.zeros((1, 17, 16)), (0, 1))
