# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from noisewise.pipelines.tracking import denoising_panel

CAPTION, GAP, SIZE = 22, 4, 160


def tile(panel, row, column, height=SIZE, width=SIZE):
    top, left = row * (height + CAPTION) + CAPTION, column * (max(width, 150) + GAP)
    return panel[top : top + height, left : left + width]


@pytest.fixture
def item():
    random = torch.Generator().manual_seed(0)
    clean = torch.rand(3, SIZE, SIZE, generator=random) * 200 + 20
    noise = torch.randn(3, SIZE, SIZE, generator=random) * 10
    return {"image": clean + noise, "label": clean, "pred": clean + noise / 5, "noise_estimate": noise / 255}


def shown(values):
    return values.permute(2, 1, 0).numpy().clip(0, 255).round().astype(np.uint8)


def test_every_tile_holds_what_its_caption_says(item):
    panel = denoising_panel(item)
    noise = item["image"] - item["label"]
    error = (item["pred"] - item["label"]).abs().mean(0, keepdim=True).expand(3, -1, -1)
    expected = {
        (0, 0): item["image"],
        (0, 1): item["pred"],
        (0, 2): item["label"],
        (1, 0): 127.5 + 2 * noise,
        (1, 1): 127.5 + 2 * 255 * item["noise_estimate"],
        (1, 2): 4 * error,
    }
    for place, values in expected.items():
        np.testing.assert_allclose(tile(panel, *place).astype(int), shown(values).astype(int), atol=1)


def test_x_runs_to_the_right_and_y_down():
    image = torch.zeros(3, 160, 200)
    image[:, 150, 10] = 255
    panel = denoising_panel({"image": image, "label": image, "pred": image})
    rows, columns = np.nonzero(tile(panel, 0, 2, height=200, width=160)[..., 0])
    assert (rows, columns) == (10, 150)


def test_large_images_are_cut_not_scaled(item):
    panel = denoising_panel(item, size=152)
    np.testing.assert_array_equal(tile(panel, 0, 2, 152, 152), shown(item["label"])[4:156, 4:156])


def test_gray_images_and_volumes():
    volume = torch.rand(1, 150, 150, 5) * 255
    panel = denoising_panel({"image": volume, "label": volume, "pred": volume})
    assert (tile(panel, 0, 0, 150, 150) == shown(volume[..., 2]).repeat(3, -1)).all()


def test_without_an_estimate_the_removed_noise_is_shown(item):
    panel = denoising_panel({**item, "noise_estimate": None})
    removed = shown(127.5 + 2 * (item["image"] - item["pred"]))
    np.testing.assert_allclose(tile(panel, 1, 1).astype(int), removed.astype(int), atol=1)


def test_without_a_prediction_its_tiles_are_white(item):
    panel = denoising_panel({**item, "pred": None})
    assert panel.shape == denoising_panel(item).shape
    assert all((tile(panel, *place) == 255).all() for place in ((0, 1), (1, 1), (1, 2)))


def test_nan_and_values_out_of_range_do_not_wrap(item):
    item["pred"][:] = 300.0
    item["pred"][:, 0, 0] = float("nan")
    panel = tile(denoising_panel(item), 0, 1)
    assert (panel[0, 0] == 0).all() and (panel[1:] == 255).all()


@pytest.mark.parametrize("shape", [(2, 8, 8), (8, 8), (3, 8, 8, 8, 8)])
def test_other_shapes_are_refused(shape):
    x = torch.zeros(shape)
    with pytest.raises(ValueError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        denoising_panel({"image": x, "label": x, "pred": x})
