# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from noisewise.pipelines.metrics import DeltaEMetric, ciede2000, rgb_to_lab

# Lab 1, Lab 2, CIEDE2000: Sharma, Wu and Dalal 2005, Table 1, all 34 pairs. 7 to 16 test the hue's wrap.
SHARMA = [
    [(50.0000, 2.6772, -79.7751), (50.0000, 0.0000, -82.7485), 2.0425],
    [(50.0000, 3.1571, -77.2803), (50.0000, 0.0000, -82.7485), 2.8615],
    [(50.0000, 2.8361, -74.0200), (50.0000, 0.0000, -82.7485), 3.4412],
    [(50.0000, -1.3802, -84.2814), (50.0000, 0.0000, -82.7485), 1.0000],
    [(50.0000, -1.1848, -84.8006), (50.0000, 0.0000, -82.7485), 1.0000],
    [(50.0000, -0.9009, -85.5211), (50.0000, 0.0000, -82.7485), 1.0000],
    [(50.0000, 0.0000, 0.0000), (50.0000, -1.0000, 2.0000), 2.3669],
    [(50.0000, -1.0000, 2.0000), (50.0000, 0.0000, 0.0000), 2.3669],
    [(50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0009), 7.1792],
    [(50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0010), 7.1792],
    [(50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0011), 7.2195],
    [(50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0012), 7.2195],
    [(50.0000, -0.0010, 2.4900), (50.0000, 0.0009, -2.4900), 4.8045],
    [(50.0000, -0.0010, 2.4900), (50.0000, 0.0010, -2.4900), 4.8045],
    [(50.0000, -0.0010, 2.4900), (50.0000, 0.0011, -2.4900), 4.7461],
    [(50.0000, 2.5000, 0.0000), (50.0000, 0.0000, -2.5000), 4.3065],
    [(50.0000, 2.5000, 0.0000), (73.0000, 25.0000, -18.0000), 27.1492],
    [(50.0000, 2.5000, 0.0000), (61.0000, -5.0000, 29.0000), 22.8977],
    [(50.0000, 2.5000, 0.0000), (56.0000, -27.0000, -3.0000), 31.9030],
    [(50.0000, 2.5000, 0.0000), (58.0000, 24.0000, 15.0000), 19.4535],
    [(50.0000, 2.5000, 0.0000), (50.0000, 3.1736, 0.5854), 1.0000],
    [(50.0000, 2.5000, 0.0000), (50.0000, 3.2972, 0.0000), 1.0000],
    [(50.0000, 2.5000, 0.0000), (50.0000, 1.8634, 0.5757), 1.0000],
    [(50.0000, 2.5000, 0.0000), (50.0000, 3.2592, 0.3350), 1.0000],
    [(60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644],
    [(63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630],
    [(61.2901, 3.7196, -5.3901), (61.4292, 2.2480, -4.9620), 1.8731],
    [(35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645],
    [(22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373],
    [(36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146],
    [(90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441],
    [(90.9257, -0.5406, -0.9208), (88.6381, -0.8985, -0.7239), 1.5381],
    [(6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377],
    [(2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082],
]

# color 1, color 2 in sRGB 0..255, mean Delta E: scikit-image 0.26
FROZEN = [
    [(0, 0, 0), (255, 255, 255), 100.0],
    [(255, 0, 0), (0, 255, 0), 86.608459],
    [(0, 0, 255), (255, 255, 0), 103.427881],
    [(200, 40, 60), (200, 60, 40), 8.814443],
    [(128, 128, 128), (129, 129, 129), 0.377849],
]


def skimage_delta_e(clean: np.ndarray, image: np.ndarray) -> float:
    """Mean CIEDE2000 of channel-first images on 0..1."""
    color = pytest.importorskip("skimage.color")
    lab = [color.rgb2lab(np.broadcast_to(x, (3, *x.shape[1:])), channel_axis=0) for x in (clean, image)]
    return float(color.deltaE_ciede2000(*lab, channel_axis=0).mean())


def test_published_pairs():
    lab1, lab2, expected = (torch.tensor(x, dtype=torch.float64) for x in zip(*SHARMA))
    assert torch.allclose(ciede2000(lab1, lab2), expected, rtol=0, atol=6e-5)
    assert torch.allclose(ciede2000(lab2, lab1), expected, rtol=0, atol=6e-5)


def test_published_pairs_are_those_of_skimage():
    color = pytest.importorskip("skimage.color")
    lab1, lab2, _ = (np.array(x) for x in zip(*SHARMA))
    ours = ciede2000(torch.from_numpy(lab1), torch.from_numpy(lab2)).numpy()
    np.testing.assert_allclose(ours, color.deltaE_ciede2000(lab1, lab2), rtol=1e-9)


def test_hues_on_either_side_of_the_wrap():
    """Around the hue circle in steps, each hue against all others, compared with skimage; red straddles 0 and 360."""
    color = pytest.importorskip("skimage.color")
    hue = np.deg2rad(np.arange(0.5, 360, 7))
    lab = np.stack([np.full_like(hue, 60), 30 * np.cos(hue), 30 * np.sin(hue)], axis=-1)
    one, two = (x.reshape(-1, 3) for x in np.broadcast_arrays(lab[:, None], lab[None]))
    ours = ciede2000(torch.from_numpy(one.copy()), torch.from_numpy(two.copy())).numpy()
    np.testing.assert_allclose(ours, color.deltaE_ciede2000(one, two), rtol=1e-9, atol=1e-9)
    near = ciede2000(torch.tensor([[60.0, 30.0, 0.1]]), torch.tensor([[60.0, 30.0, -0.1]]))
    assert 0 < near.item() < 0.2


def test_gray_axis_has_no_hue():
    gray, nearly = torch.tensor([[50.0, 0.0, 0.0]]), torch.tensor([[50.0, -1e-9, 0.0]])
    assert ciede2000(gray, gray).item() == 0
    assert ciede2000(gray, nearly).item() == pytest.approx(0, abs=1e-8)


def test_lab_is_that_of_skimage(images):
    color = pytest.importorskip("skimage.color")
    rgb = images["retina"] / 255 * 1.2 - 0.1  # also outside [0, 1], which is not clipped
    expected = color.rgb2lab(rgb, channel_axis=0)
    lab = rgb_to_lab(torch.from_numpy(rgb)[None])
    assert lab.dtype == torch.float64
    np.testing.assert_allclose(lab[0].numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sigma", [1, 10, 25, 75])
@pytest.mark.parametrize("name", ["camera", "retina", "chelsea"])
def test_images_as_skimage(images, noisy, name, sigma):
    clean, image = images[name], noisy(images[name], sigma)
    expected = skimage_delta_e(clean / 255, image / 255)
    for data_range in (1.0, 255.0, 4095.0):
        y, y_pred = (torch.from_numpy(x * (data_range / 255)).float()[None] for x in (clean, image))
        assert DeltaEMetric(data_range)(y_pred, y).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("one, two, expected", FROZEN)
def test_frozen_colors(one, two, expected):
    y, y_pred = (torch.tensor(x, dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 5) for x in (one, two))
    value = DeltaEMetric(data_range=255)(y_pred, y)
    assert value.shape == (2, 1)
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)


def test_gray_equals_repeated_gray_and_volumes_work():
    y, y_pred = torch.rand(2, 2, 1, 6, 7, 5, generator=torch.Generator().manual_seed(0))
    metric = DeltaEMetric(data_range=1)
    gray = metric(y_pred, y)
    assert torch.equal(gray, metric(y_pred.expand(-1, 3, -1, -1, -1), y.expand(-1, 3, -1, -1, -1)))


def test_identical_images_give_zero(images):
    y = torch.from_numpy(images["retina"])[None]
    assert DeltaEMetric(data_range=255)(y, y).item() == 0


def test_batch_equals_one_by_one_in_any_container(images, noisy):
    y = torch.from_numpy(np.stack([images["retina"], images["retina"][:, ::-1]])).float()
    y_pred = torch.from_numpy(np.stack([noisy(x, s) for x, s in zip(y.numpy(), (5, 40))])).float()
    metric = DeltaEMetric(data_range=255)
    batch = metric(y_pred, y)
    assert torch.allclose(torch.cat([metric(p[None], c[None]) for p, c in zip(y_pred, y)]), batch)
    assert torch.allclose(metric(list(y_pred), list(y)), batch)
    assert torch.allclose(metric([y_pred[0]], [y[0]]), batch[:1])
    meta = metric(MetaTensor(y_pred), MetaTensor(y))
    assert type(meta) is torch.Tensor
    assert torch.allclose(meta, batch)


def test_mixed_sizes_and_reductions(images, noisy):
    names = ["camera", "retina", "chelsea"]
    y = [torch.from_numpy(images[n]) for n in names]
    y_pred = [torch.from_numpy(noisy(images[n], 20)) for n in names]
    expected = [skimage_delta_e(c.numpy() / 255, p.numpy() / 255) for p, c in zip(y_pred, y)]
    metric = DeltaEMetric(data_range=255, get_not_nans=True)
    metric(y_pred[:2], y[:2])
    metric(y_pred[2:], y[2:])
    mean, count = metric.aggregate()
    assert mean.item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert count.item() == 3
    np.testing.assert_allclose(metric.aggregate("none")[0].flatten().numpy(), expected, rtol=1e-5)
    metric.reset()
    assert metric.get_buffer() is None


def test_nan_pixels_are_left_out_of_the_mean():
    y = torch.rand(2, 3, 4, 4)
    y_pred = y.clone()
    y_pred[0, 0, 0, 0] = torch.nan
    metric = DeltaEMetric(data_range=1, get_not_nans=True)
    metric(y_pred, y)
    mean, count = metric.aggregate()
    assert (mean.item(), count.item()) == (0, 1)


@pytest.mark.parametrize("data_range", [0, -1, float("inf"), float("nan")])
def test_bad_data_range(data_range):
    with pytest.raises(ValueError, match="data_range"):
        DeltaEMetric(data_range=data_range)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (1, 4, 8, 8), (3, 8, 8), (2, 3)])
def test_bad_channels(shape):
    with pytest.raises(ValueError, match=r"one \(gray\) or three"):
        DeltaEMetric(data_range=1)(torch.zeros(shape), torch.zeros(shape))


def test_unequal_shapes():
    with pytest.raises(ValueError, match="shapes"):
        DeltaEMetric(data_range=1)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="one shape"):
        ciede2000(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="three channels"):
        ciede2000(torch.zeros(2, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="three channels"):
        rgb_to_lab(torch.zeros(3))
