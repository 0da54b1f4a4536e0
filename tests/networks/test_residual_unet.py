# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""ResidualUNet: counts, the layers written out, homogeneity, exact tiling, grayscale folding and capture as a graph."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from noisewise.networks import GrayscaleDenoiser, ResidualUNet, fold_to_grayscale
from noisewise.networks.padding import reflect_pad, reflected_indices

SMALL = {"widths": (4, 6, 8), "blocks": (1, 2, 1)}


@pytest.fixture
def network() -> ResidualUNet:
    torch.manual_seed(0)
    network = ResidualUNet(**SMALL).eval().requires_grad_(False)
    network.tail.weight.mul_(10)  # so that the residual is as large as the image
    return network


def test_counts(denoisers):
    network = ResidualUNet()
    # One 3x3 convolution has 9 * inputs * outputs weights, one strided or transposed 2x2 convolution 4 times.
    blocks = 18 * (2 * 16**2 + 4 * 48**2 + 4 * 96**2 + 4 * 192**2)
    steps = 8 * (16 * 48 + 48 * 96 + 96 * 192)
    assert denoisers.count(network) == 2 * 9 * 3 * 16 + blocks + steps == 3_684_192
    assert denoisers.macs(network) == 9_216_983_040
    assert not any("bias" in name for name, _ in network.named_parameters())


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: ResidualUNet(channels, **SMALL))


def test_layers_written_out(network, denoisers):
    x = denoisers.image(2, 3, 8, 12)

    def conv(x, layer):
        return functional.conv2d(x, layer.weight, padding=1)

    def chain(x, blocks):
        for block in blocks:
            x = x + conv(conv(x, block.conv1).relu(), block.conv2)
        return x

    head = conv(x, network.head)
    first = chain(head, network.encoder[0])
    second = chain(functional.conv2d(first, network.down[0].weight, stride=2), network.encoder[1])
    out = chain(functional.conv2d(second, network.down[1].weight, stride=2), network.middle)
    out = chain(functional.conv_transpose2d(out, network.up[0].weight, stride=2) + second, network.decoder[0])
    out = chain(functional.conv_transpose2d(out, network.up[1].weight, stride=2) + first, network.decoder[1])
    torch.testing.assert_close(network(x), x + conv(out + head, network.tail))


def test_sizes_off_the_grid_are_padded_by_reflection(network, denoisers):
    x = denoisers.image(1, 3, 7, 10)
    padded = network(reflect_pad(x, 0, 2, 0, 1))
    assert torch.equal(network(x), padded[..., :7, :10])


def test_is_homogeneous(network, denoisers):
    x = denoisers.image(1, 3, 16, 16) - 0.3
    torch.testing.assert_close(network(7 * x), 7 * network(x))
    assert float(network(torch.zeros(1, 3, 8, 8)).abs().max()) == 0


def test_receptive_radius_holds_and_is_reached_within_a_cell(network):
    network = network.double()
    size, center = 96, 48
    x = torch.rand(1, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    radius, reached = network.receptive_radius, 0
    for shift in range(network.grid):  # the field depends on the position within a cell
        (gradient,) = torch.autograd.grad(network(x)[..., center + shift, center + shift].sum(), x)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten() - (center + shift)
        reached = max(reached, int(rows.abs().max()))
    assert radius - network.grid < reached <= radius


def test_tiles_on_the_grid_give_the_whole_image(network, denoisers):
    x = denoisers.image(1, 3, 90, 101)
    halo = -(-network.receptive_radius // network.grid) * network.grid
    whole, begin = network(x), 48
    window = network(x[..., begin - halo :, begin - halo :])
    torch.testing.assert_close(window[..., halo:, halo:], whole[..., begin:, begin:], rtol=0, atol=1e-6)
    off_grid = network(x[..., begin - halo + 1 :, begin - halo + 1 :])[..., halo:, halo:]
    assert float((off_grid - whole[..., begin + 1 :, begin + 1 :]).abs().max()) > 1e-3


def test_gray_images_cost_one_channel(network, denoisers):
    folded = fold_to_grayscale(network)
    x = denoisers.image(2, 1, 13, 18)
    torch.testing.assert_close(folded(x), GrayscaleDenoiser(network)(x), rtol=0, atol=1e-5)
    assert folded.head.weight.shape[1] == folded.tail.weight.shape[0] == 1


def test_a_traced_graph_takes_every_size_on_the_grid(network, denoisers):
    traced = torch.jit.trace(network, denoisers.image(1, 3, 16, 24), check_trace=False)
    x = denoisers.image(2, 3, 40, 8)
    torch.testing.assert_close(traced(x), network(x))


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (16, 24)])
def test_scripted_equals_eager(network, denoisers, size):
    x = denoisers.image(2, 3, *size)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))


@pytest.mark.parametrize(("length", "total"), [(1, 8), (2, 8), (3, 8), (7, 8), (8, 8)])
def test_reflected_indices_extend_as_reflect_pad(length, total):
    line = torch.arange(float(length)).reshape(1, 1, 1, length)
    extended = line[..., reflected_indices(length, total, line.device)]
    assert torch.equal(extended, reflect_pad(line, 0, total - length, 0, 0))


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(ResidualUNet()(denoisers.image(1, 3, 24, 24)).mean()) == pytest.approx(0.510978, rel=1e-4)


# arguments, what the message says
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (8, 16), "blocks": (1,)}, "one entry for each level"),
        ({"widths": (), "blocks": ()}, "one entry for each level"),
        ({"channels": 0}, "channels must be positive integers"),
        ({"widths": (8, 0), "blocks": (1, 1)}, "widths must be positive integers"),
        ({"widths": (8, 16), "blocks": (1, True)}, "blocks must be positive integers"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResidualUNet(**arguments)
