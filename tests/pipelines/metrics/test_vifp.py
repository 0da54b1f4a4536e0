# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from noisewise.pipelines.metrics import VIFPMetric


def pattern(height: int = 48, width: int = 56) -> torch.Tensor:
    """A smooth image on 0..255 without a file or a random generator, ``(1, 1, H, W)``."""
    row = torch.arange(height, dtype=torch.float64)[:, None]
    column = torch.arange(width, dtype=torch.float64)[None]
    return (127.5 + 70 * torch.sin(row / 3) * torch.cos(column / 5) + 40 * torch.sin(column * row / 50))[None, None]


def disturbed(x: torch.Tensor, level: float) -> torch.Tensor:
    """``x`` with noise that no version of a generator can change."""
    index = torch.arange(x.numel(), dtype=torch.float64).view(x.shape)
    return x + level * torch.sin(index * index * 12.9898)


@pytest.mark.parametrize("sigma", [1, 10, 25, 75])
@pytest.mark.parametrize("name", ["camera", "coins", "retina"])
def test_images_as_sewar(images, noisy, name, sigma):
    sewar = pytest.importorskip("sewar")
    clean, image = images[name], noisy(images[name], sigma)
    expected = sewar.vifp(clean.transpose(1, 2, 0), image.transpose(1, 2, 0))
    for data_range in (1.0, 255.0, 4095.0):
        y, y_pred = (torch.from_numpy(x * (data_range / 255)).float()[None] for x in (clean, image))
        assert VIFPMetric(data_range)(y_pred, y).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(41, 41), (41, 60), (42, 43), (45, 44)])
def test_small_and_odd_sizes_as_sewar(shape):
    sewar = pytest.importorskip("sewar")
    y = pattern(*shape)
    y_pred = disturbed(y, 20)
    expected = sewar.vifp(y[0, 0].numpy(), y_pred[0, 0].numpy())
    assert VIFPMetric(255)(y_pred, y).item() == pytest.approx(expected, rel=1e-6)


def test_blurred_brightened_and_inverted_as_sewar(images):
    sewar = pytest.importorskip("sewar")
    clean = images["camera"][0]
    blurred = (clean + np.roll(clean, 1, 0) + np.roll(clean, 1, 1)) / 3
    patched = clean.copy()
    patched[30:80, 30:80] = 100  # windows without any variance of the prediction
    for image in (blurred, 1.3 * clean, clean + 40, 255 - clean, patched):
        y, y_pred = (torch.from_numpy(x)[None, None] for x in (clean, image))
        for one, two, expected in ((y_pred, y, (clean, image)), (y, y_pred, (image, clean))):
            assert VIFPMetric(255)(one, two).item() == pytest.approx(sewar.vifp(*expected), rel=1e-5)


# noise level, VIFP of disturbed(pattern()): sewar 0.4.10
@pytest.mark.parametrize("level, expected", [(2, 0.909405), (10, 0.568564), (40, 0.224521)])
def test_frozen_values(level, expected):
    value = VIFPMetric(255)(disturbed(pattern(), level), pattern())
    assert value.shape == (1, 1)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_identical_images_give_one(images):
    y = torch.from_numpy(images["retina"])[None]
    assert VIFPMetric(255)(y, y).item() == pytest.approx(1, abs=1e-6)


def test_reference_is_the_second_argument():
    y, faint = pattern(), 0.05 * pattern()
    metric = VIFPMetric(255)
    assert metric(faint, y).item() < 0.5
    assert metric(y, faint).item() > 1
    assert metric(y_pred=faint, y=y).item() == metric(faint, y).item()


def test_mean_over_channels_of_a_color_image(images, noisy):
    y, y_pred = (torch.from_numpy(x)[None] for x in (images["retina"], noisy(images["retina"], 15)))
    metric = VIFPMetric(255)
    channels = [metric(y_pred[:, i : i + 1], y[:, i : i + 1]).item() for i in range(3)]
    assert metric(y_pred, y).item() == pytest.approx(np.mean(channels), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 0.1, 0.7, 1.0])
def test_flat_reference(level, dtype):
    """0/0 in the formula. Flat predictions of any level get 1; others get less with their variance."""
    y = torch.full((1, 1, 50, 60), level, dtype=dtype)
    metric = VIFPMetric(1)
    assert metric(y, y).item() == 1
    assert metric(torch.full_like(y, 0.3), y).item() == 1
    values = [metric(disturbed(y, amplitude / 255).to(dtype), y).item() for amplitude in (0.01, 1, 5, 50)]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1, abs=1e-3)
    assert values[-1] < 0.1


def test_rounding_errors_in_a_flat_reference_do_not_count():
    y = torch.full((1, 1, 50, 60), 0.7)
    shaken = y + 1e-7 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    y_pred = disturbed(y, 0.1).float()
    assert VIFPMetric(1)(y_pred, shaken).item() == pytest.approx(VIFPMetric(1)(y_pred, y).item(), rel=1e-6)


def test_flat_channel_and_flat_image_beside_others():
    y = torch.cat([pattern(), torch.full_like(pattern(), 90)])
    y_pred = disturbed(y, 10)
    metric = VIFPMetric(255)
    both = metric(y_pred, y)
    for i in range(2):
        assert both[i].item() == pytest.approx(metric(y_pred[i : i + 1], y[i : i + 1]).item(), rel=1e-6)
    as_channels = metric(y_pred.transpose(0, 1), y.transpose(0, 1))
    assert as_channels.item() == pytest.approx(both.mean().item(), rel=1e-6)


def test_flat_prediction_of_a_textured_image_gives_zero():
    assert VIFPMetric(255)(torch.full_like(pattern(), 127), pattern()).item() == 0


def test_half_flat_image_is_finite_and_as_sewar():
    sewar = pytest.importorskip("sewar")
    y = pattern(64, 64)
    y[..., 24:] = 0
    y_pred = disturbed(y, 10).clamp(0, 255)
    expected = sewar.vifp(y[0, 0].numpy(), y_pred[0, 0].numpy())
    assert VIFPMetric(255)(y_pred, y).item() == pytest.approx(expected, rel=1e-5)


def test_integer_images():
    y, y_pred = (x.round().clamp(0, 255) for x in (pattern(), disturbed(pattern(), 10)))
    metric = VIFPMetric(255)
    assert metric(y_pred.byte(), y.byte()).item() == metric(y_pred, y).item()


def test_batch_equals_one_by_one_in_any_container():
    y = torch.cat([pattern(), pattern().flip(-1), pattern().flip(-2)]).float()
    y_pred = torch.cat([disturbed(x[None].double(), level) for x, level in zip(y, (2, 10, 40))]).float()
    metric = VIFPMetric(255)
    batch = metric(y_pred, y)
    assert batch.shape == (3, 1)
    assert torch.allclose(torch.cat([metric(p[None], c[None]) for p, c in zip(y_pred, y)]), batch)
    assert torch.allclose(metric(list(y_pred), list(y)), batch)
    assert torch.allclose(metric([y_pred[0]], [y[0]]), batch[:1])
    meta = metric(MetaTensor(y_pred), MetaTensor(y))
    assert type(meta) is torch.Tensor
    assert torch.allclose(meta, batch)


def test_mixed_sizes_and_reductions():
    sizes = [(41, 50), (64, 48), (45, 45)]
    y = [pattern(*s)[0] for s in sizes]
    y_pred = [disturbed(x, 15) for x in y]
    metric = VIFPMetric(255, get_not_nans=True)
    expected = [VIFPMetric(255)(p[None], c[None]).item() for p, c in zip(y_pred, y)]
    metric(y_pred[:2], y[:2])
    metric(y_pred[2][None], y[2][None])
    mean, count = metric.aggregate()
    assert mean.item() == pytest.approx(np.mean(expected), rel=1e-6)
    assert count.item() == 3
    assert metric.aggregate("sum")[0].item() == pytest.approx(np.sum(expected), rel=1e-6)


@pytest.mark.parametrize("where", ["prediction", "reference"])
def test_nan_pixels_give_nan_and_are_left_out_of_the_mean(where):
    y = torch.cat([pattern(), pattern()])
    y_pred = y.clone()
    (y_pred if where == "prediction" else y)[0, 0, 20, 20] = torch.nan
    metric = VIFPMetric(255, get_not_nans=True)
    assert torch.isnan(metric(y_pred, y)).flatten().tolist() == [True, False]
    mean, count = metric.aggregate()
    assert mean.item() == pytest.approx(1, abs=1e-6)
    assert count.item() == 1


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (1, 1)])
def test_images_too_small(size):
    with pytest.raises(ValueError, match=rf"41 x 41 pixels, got {size[0]} x {size[1]}"):
        VIFPMetric(255)(torch.zeros(1, 1, *size), torch.zeros(1, 1, *size))


@pytest.mark.parametrize("shape", [(1, 1, 48, 48, 48), (1, 48, 48)])
def test_not_two_spatial_axes(shape):
    with pytest.raises(ValueError, match="two spatial axes"):
        VIFPMetric(255)(torch.zeros(shape), torch.zeros(shape))


def test_bad_arguments():
    with pytest.raises(ValueError, match="shapes"):
        VIFPMetric(255)(torch.zeros(1, 1, 48, 48), torch.zeros(1, 1, 48, 49))
    for data_range in (0, -255, float("nan")):
        with pytest.raises(ValueError, match="data_range"):
            VIFPMetric(data_range)


@pytest.mark.parametrize(("amplitude", "flat"), [(0.95e-3, True), (1.05e-3, False)])
def test_a_reference_is_flat_below_a_variance_of_one_millionth(amplitude, flat):
    """A checkerboard of +-a has the variance a**2 in the largest window."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = (1 - 2.0 * ((rows + columns) % 2))[None, None].double()
    y = 100 + amplitude * board
    y_pred = disturbed(y, 10)
    value, level = (VIFPMetric(255)(y_pred, clean).item() for clean in (y, torch.full_like(y, 100)))
    assert 0 < level < 1
    if flat:
        assert value == pytest.approx(level, rel=1e-4)
    else:
        sewar = pytest.importorskip("sewar")
        expected = sewar.vifp(y[0, 0].numpy(), y_pred[0, 0].numpy())
        assert value == pytest.approx(expected, rel=1e-2) and value != pytest.approx(level, rel=0.1)


def test_figures_of_the_docstring():
    camera = torch.from_numpy(pytest.importorskip("skimage.data").camera().astype(np.float64))[None, None]
    noise = torch.from_numpy(np.random.RandomState(0).standard_normal(camera.shape))
    assert VIFPMetric(255)(camera + 25 * noise, camera).item() == pytest.approx(0.20, abs=0.01)
    assert VIFPMetric(255)((camera + 25 * noise) / 255, camera / 255).item() == pytest.approx(1.01, abs=0.01)
    fine = torch.from_numpy(np.random.RandomState(1).standard_normal((1, 1, 256, 256)))
    for level, expected in ((0.1, 3), (0.01, 300)):
        background = 100 + level * fine
        value = VIFPMetric(255)(background + 25 * noise[..., :256, :256], background).item()
        assert value == pytest.approx(expected, rel=0.3)
