# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks hold the published parameter counts and multiply-accumulates to the unit, and behave as documented."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from noisewise.networks import (
    GatedDenseTrunk,
    GrayscaleDenoiser,
    NoiseAttentionBlock,
    NoiseEstimationNetwork,
    ReconstructionNetwork,
    ResidualDenoiser,
    ResidualDenseBlock,
    ResidualInResidualDenseBlock,
    TwoStageDenoiser,
    TwoStageWithoutAttention,
    fold_to_grayscale,
)

SMALL = {"features": 8, "growth": 4, "num_blocks": 1}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_accumulates(module: torch.nn.Module, *inputs: torch.Tensor) -> int:
    # Tensors on the meta device have shapes only, which is enough for counting.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.to("meta")(*(tensor.to("meta") for tensor in inputs))
    return counter.get_total_flops() // 2


# module, parameters
PARAMETER_COUNTS = [
    (ResidualDenseBlock, {}, 31_168),
    (ResidualInResidualDenseBlock, {}, 3 * 31_168),
    (GatedDenseTrunk, {}, 3 * (3 * 31_168 + 32 * 32)),
    (NoiseAttentionBlock, {}, 2 * (32 * 32 * 9 + 32) + 2 * 49),
    (NoiseEstimationNetwork, {}, 283_776),
    (ReconstructionNetwork, {}, 302_466),
    (ReconstructionNetwork, {"noise_attention": False}, 283_872),
    (TwoStageDenoiser, {}, 586_242),
    (TwoStageDenoiser, {"noise_attention": False}, 567_648),
    (TwoStageWithoutAttention, {}, 567_648),
]


@pytest.mark.parametrize(("module", "arguments", "expected"), PARAMETER_COUNTS)
def test_parameter_count(module, arguments, expected):
    assert count(module(**arguments)) == expected


def test_multiply_accumulates_of_table_vii():
    image = torch.zeros(1, 3, 256, 256)
    pixels = 256 * 256
    # Convolution weights only, counted by hand: 1x1 head and tail, three RRDB of three RDB, three gates.
    rdb = 9 * (8 * (32 + 40 + 48 + 56) + 32 * 64)
    trunk = 3 * (3 * rdb + 32 * 32)
    nen = pixels * (3 * 32 + trunk + 32 * 3)
    rn = pixels * (2 * 3 * 32 + 2 * 9 * 32 * 32 + 49 * 2 + trunk + 32 * 3)
    assert multiply_accumulates(NoiseEstimationNetwork(), image) == nen == 18_559_795_200
    assert multiply_accumulates(ReconstructionNetwork(), image, image) == rn == 19_780_468_736
    assert multiply_accumulates(TwoStageDenoiser(), image) == nen + rn == 38_340_263_936


def test_residual_dense_block_equals_its_formula():
    torch.manual_seed(0)
    block = ResidualDenseBlock(features=6, growth=3, negative_slope=0.1)
    x = torch.randn(2, 6, 9, 7)
    maps = [x]
    for conv in (block.conv1, block.conv2, block.conv3, block.conv4, block.conv5):
        out = torch.nn.functional.conv2d(torch.cat(maps, 1), conv.weight, conv.bias, padding=1)
        maps.append(torch.where(out > 0, out, 0.1 * out))
    torch.testing.assert_close(block(x), x + 0.2 * maps[-1])


def test_attention_equals_its_formula():
    torch.manual_seed(0)
    block = NoiseAttentionBlock(4)
    image, noise = torch.randn(2, 2, 4, 8, 8).unbind(0)
    joined = torch.cat([block.noise_conv(noise), block.image_conv(image)], 1)
    pooled = torch.stack([joined.mean(1), joined.max(1).values], 1)
    attention = torch.nn.functional.conv2d(pooled, block.attention_conv.weight, padding=3).sigmoid()
    torch.testing.assert_close(block(image, noise), attention * image)
    assert block.attention_map(image, noise).shape == (2, 1, 8, 8)


def test_two_stage_is_reconstruction_of_image_and_estimated_noise():
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL).eval()
    x = torch.rand(2, 3, 12, 10)
    denoised, noise = network.stages(x)
    torch.testing.assert_close(noise, network.nen(x))
    torch.testing.assert_close(denoised, network.rn(x, noise))
    torch.testing.assert_close(network(x), denoised)


# height, width
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 18)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(size, channels):
    assert TwoStageDenoiser(channels=channels, **SMALL)(torch.zeros(1, channels, *size)).shape == (1, channels, *size)


@pytest.mark.parametrize(
    ("make", "side"),
    [(NoiseEstimationNetwork, 91), (TwoStageDenoiser, 189)],
)
def test_receptive_field(make, side):
    torch.manual_seed(0)
    network = make(features=3, growth=1).double()  # its width does not matter here
    x = torch.rand(1, 3, side + 6, side + 6, dtype=torch.float64, requires_grad=True)
    middle = (side + 6) // 2
    network(x)[0, 0, middle, middle].backward()
    rows = (x.grad.abs().sum((0, 1, 3)) > 0).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == side


def test_global_skip_and_output_activation():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 8, 8)
    skip = TwoStageDenoiser(global_skip=True, **SMALL)
    plain = TwoStageDenoiser(global_skip=False, **SMALL)
    plain.load_state_dict(skip.state_dict())
    torch.testing.assert_close(skip(x), plain(x) + x)
    squashed = TwoStageDenoiser(output_activation="sigmoid", global_skip=False, **SMALL)
    squashed.load_state_dict(plain.state_dict())
    torch.testing.assert_close(squashed(x), plain(x).sigmoid())


def test_ablation_without_attention_feeds_the_sum():
    torch.manual_seed(0)
    rn = ReconstructionNetwork(noise_attention=False, global_skip=False, **SMALL)
    x, noise = torch.rand(2, 1, 3, 6, 6).unbind(0)
    expected = rn.tail(rn.trunk(rn.image_head(x) + rn.noise_head(noise)))
    torch.testing.assert_close(rn(x, noise), expected)


def test_channels_last_gives_channels_last_and_equal_values():
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL).eval()
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, expected, atol=1e-5, rtol=1e-5)


def test_torchscript_and_onnx_export_equal_eager(tmp_path):
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL).eval()
    x = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        expected, noise = network.stages(x)
    scripted = torch.jit.script(network)
    scripted.save(str(tmp_path / "model.ts"))
    loaded = torch.jit.load(str(tmp_path / "model.ts"))
    torch.testing.assert_close(loaded(x), expected)
    torch.testing.assert_close(loaded.stages(x)[1], noise)

    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    dynamic = {"x": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(
        network, (torch.rand(2, 3, 24, 24),), str(tmp_path / "model.onnx"), input_names=["x"], dynamic_axes=dynamic,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), expected, atol=1e-5, rtol=1e-4)


def test_folded_network_equals_repeat_and_average():
    torch.manual_seed(0)
    network = TwoStageDenoiser(global_skip=True, **SMALL).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.rand(2, 1, 11, 14)
    folded = fold_to_grayscale(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), GrayscaleDenoiser(network)(x), atol=1e-6, rtol=1e-5)
    assert folded.nen.head.in_channels == folded.rn.image_head.in_channels == folded.rn.tail.out_channels == 1
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match="linear"):
        fold_to_grayscale(TwoStageDenoiser(output_activation="sigmoid", **SMALL))


def test_residual_denoiser_subtracts():
    network = NoiseEstimationNetwork(**SMALL)
    x = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(ResidualDenoiser(network)(x), x - network(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwoStageDenoiser(channels=0), "channels must be a positive integer, got 0"),
        (lambda: TwoStageDenoiser(growth=2.5), "growth must be a positive integer, got 2.5"),
        (lambda: TwoStageDenoiser(num_blocks=-1), "num_blocks must be a positive integer, got -1"),
        (lambda: TwoStageDenoiser(output_activation="relu"), "activation must be one of .* got 'relu'"),
        (lambda: ReconstructionNetwork(in_channels=3, out_channels=1, global_skip=True), "3 in and 1 out"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
