# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from noisewise.networks import ResidualUNet, TwoStageDenoiser
from noisewise.pipelines.denoising import tiles


@pytest.mark.parametrize(
    ("height", "width", "size", "halo"),
    [
        (1, 1, 1, 0),
        (1, 1, None, 94),
        (7, 13, 4, 3),
        (100, 37, 30, 94),
        (64, 64, 64, 10),
        (65, 64, 64, 10),
        (2000, 37, 300, 94),
    ],
)
def test_cores_cover_the_image_once_and_windows_end_at_halo_or_border(height, width, size, halo):
    covered = np.zeros((height, width), int)
    image = np.arange(height * width).reshape(height, width)
    for tile in tiles(height, width, size, halo):
        covered[tile.core] += 1
        assert np.array_equal(image[tile.window][tile.inner], image[tile.core])
        for core, window, length in zip(tile.core, tile.window, (height, width)):
            assert core.stop - core.start <= (size or length)
            assert window.start == max(0, core.start - halo)
            assert window.stop == min(length, core.stop + halo)
    assert (covered == 1).all()


@pytest.mark.parametrize(("length", "size", "halo", "grid"), [(101, 13, 5, 8), (64, 20, 16, 8), (30, 7, 0, 4)])
def test_windows_start_on_the_grid(length, size, halo, grid):
    covered = np.zeros(length, int)
    for tile in tiles(length, 1, size, halo, grid):
        window, core = tile.window[0], tile.core[0]
        covered[core] += 1
        assert window.start % grid == 0 and window.start <= max(0, core.start - halo) < window.start + grid
        assert tile.inner[0] == slice(core.start - window.start, core.stop - window.start)
    assert (covered == 1).all()


def test_tiles_of_a_strided_network_join_to_the_whole():
    torch.manual_seed(0)
    network = ResidualUNet(widths=(4, 6, 8), blocks=(1, 1, 1)).eval().requires_grad_(False)
    network.tail.weight.mul_(10)
    image = torch.rand(1, 3, 93, 70)
    joined = torch.zeros_like(image)
    for tile in tiles(93, 70, 20, network.receptive_radius, network.grid):
        joined[(..., *tile.core)] = network(image[(..., *tile.window)])[(..., *tile.inner)]
    torch.testing.assert_close(joined, network(image), rtol=0, atol=1e-5)


def test_cores_are_about_equally_large():
    heights = [tile.core[0].stop - tile.core[0].start for tile in tiles(101, 1, 50, 0)]
    assert heights == [33, 34, 34]


@pytest.mark.parametrize("arguments", [(0, 5, None, 0), (5, 0, None, 0), (5, 5, 0, 0), (5, 5, 1, -1), (5, 5, 1, 0, 0)])
def test_impossible_tiles_are_refused(arguments):
    with pytest.raises(ValueError, match="no tiles"):
        list(tiles(*arguments))


@pytest.mark.parametrize("options", [{}, {"num_blocks": 1}, {"noise_attention": False}])
def test_receptive_radius_is_how_far_the_gradient_reaches(options):
    torch.manual_seed(0)
    network = TwoStageDenoiser(**{"features": 4, "growth": 2, **options}).double()
    radius = network.receptive_radius
    side = 2 * radius + 21
    image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    center = side // 2
    network(image)[0, :, center, center].sum().backward()
    reached = image.grad[0].abs().sum(0) > 0
    rows = reached.any(1).nonzero().flatten()
    columns = reached.any(0).nonzero().flatten()
    expected = [center - radius, center + radius]
    assert [int(rows[0]), int(rows[-1])] == expected
    assert [int(columns[0]), int(columns[-1])] == expected


def test_receptive_radius_of_the_published_network():
    assert TwoStageDenoiser().receptive_radius == 94
