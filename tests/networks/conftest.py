# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The requirements of every compared denoiser, for the tests of each."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn


def count(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def convolution_macs(network: nn.Module, size: int = 256, channels: int = 3) -> int:
    """Multiply-accumulates of all convolutions, counted from the shapes that pass through them."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        # A convolution gathers at each output pixel, a transposed one spreads from each input pixel.
        image = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        total += module.weight.numel() * image.shape[-2] * image.shape[-1]

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(hook)
    with torch.no_grad():  # tensors on the meta device have shapes only, which is enough for counting
        network.to("meta")(torch.zeros(1, channels, size, size, device="meta"))
    return total


def image(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def check_denoiser(make: Callable[..., nn.Module]) -> None:
    """Any size and number of channels, gradients everywhere, repeatable, channels_last, bfloat16."""
    for channels in (1, 3):
        torch.manual_seed(0)
        network = make(channels=channels).eval()
        for size in ((1, 1), (1, 6), (7, 2), (13, 18)):
            with torch.no_grad():
                assert network(image(1, channels, *size)).shape == (1, channels, *size), size

    torch.manual_seed(0)
    network = make().train()
    x, target = image(2, 3, 24, 20), image(2, 3, 24, 20, seed=1)
    (network(x) - target).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name

    torch.manual_seed(0)
    again = make().train()
    torch.manual_seed(0)
    first = make().train()
    assert torch.equal(first(x), again(x))

    network.eval()
    with torch.no_grad():
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(last, expected, atol=1e-5, rtol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x)
        assert half.isfinite().all() and (half - expected).abs().max() < 0.05


@pytest.fixture(scope="session")
def denoisers() -> SimpleNamespace:
    """``check``, ``count``, ``macs`` and ``image`` for the tests."""
    return SimpleNamespace(check=check_denoiser, count=count, macs=convolution_macs, image=image)
