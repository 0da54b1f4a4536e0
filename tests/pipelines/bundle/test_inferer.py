# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The inferer: gray and color, images and volumes, the pass-through rule."""

from __future__ import annotations

import pytest
import torch

from noisewise.networks import GrayscaleDenoiser, TwoStageDenoiser
from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.evaluation.conditions import expand_conditions
from noisewise.transforms import limit_outside


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TwoStageDenoiser(features=4, growth=2, num_blocks=1).eval().requires_grad_(False)


def test_color_and_gray(network):
    color = torch.rand(2, 3, 10, 12)
    torch.testing.assert_close(DenoisingInferer()(color, network), network(color), atol=1e-6, rtol=1e-5)
    gray = torch.rand(2, 1, 10, 12)
    result = DenoisingInferer()(gray, network)
    assert result.shape == gray.shape
    torch.testing.assert_close(result, GrayscaleDenoiser(network)(gray), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_volumes_are_denoised_slice_by_slice(network, channels):
    volume = torch.rand(2, channels, 9, 8, 5)
    result, noise = DenoisingInferer(slices_per_batch=3)(volume, network.stages)
    assert result.shape == noise.shape == volume.shape
    for index in range(5):
        single, single_noise = DenoisingInferer()(volume[..., index], network.stages)
        torch.testing.assert_close(result[..., index], single, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(noise[..., index], single_noise, atol=1e-6, rtol=1e-5)


def test_what_lies_outside_passes_through(network):
    image = torch.rand(1, 1, 16, 16)
    outside = image.clone()
    outside[..., :8, :] = 1.0
    plain = DenoisingInferer(pass_through=True)(outside, network)
    outside[..., :8, :] += torch.rand(8, 16) * 3
    outside[..., 2, 3] = -2.0
    reference = limit_outside(outside)
    result = DenoisingInferer(pass_through=True)(outside, network)
    expected = outside + DenoisingInferer()(reference, network) - reference
    torch.testing.assert_close(result, expected)
    untouched = outside.clip(0, 1) == torch.where(torch.arange(16)[:, None] < 8, 1.0, image)
    assert bool(untouched[..., 8:, :].all()) and plain.shape == result.shape
    torch.testing.assert_close(DenoisingInferer(pass_through=True)(image, network), DenoisingInferer()(image, network))


def test_bfloat16_stays_close_and_returns_float32(network):
    image = torch.rand(1, 3, 16, 16)
    result = DenoisingInferer(amp_dtype="bfloat16")(image, network)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, network(image), atol=0.03, rtol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: DenoisingInferer()(torch.zeros(1, 4, 8, 8), n), "got 4"),
        (lambda n: DenoisingInferer()(torch.zeros(3, 8, 8), n), "shape"),
        (lambda n: DenoisingInferer(amp_dtype="int8"), "amp_dtype"),
        (lambda n: DenoisingInferer(slices_per_batch=0), "slices_per_batch"),
    ],
)
def test_bad_input(network, call, message):
    with pytest.raises(ValueError, match=message):
        call(network)


def test_conditions_do_not_depend_on_the_list_they_stand_in():
    items = [{"image": f"/data/{index}.png", "image_id": f"id{index}"} for index in range(3)]
    full = expand_conditions(items)
    assert len(full) == 3 * 2 * 4
    assert len({item["noise"]["seed"] for item in full}) == len(full)
    alone = expand_conditions([{**items[1], "image": "/elsewhere/1.png"}], ["speckle"], [50])[0]["noise"]
    assert alone in [item["noise"] for item in full if item["image_id"] == "id1"]
    assert expand_conditions(items, seed=1)[0]["noise"]["seed"] != full[0]["noise"]["seed"]
    with pytest.raises(ValueError, match="protocol"):
        expand_conditions(items, protocol="none")
