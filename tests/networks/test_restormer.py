# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Restormer: sized like the two-stage denoiser, any image size, and a clear error when its package is missing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from noisewise.networks import RestormerDenoiser, restormer

SMALL = {"features": 4, "num_blocks": (1, 1, 1, 1), "heads": (1, 1, 2, 2), "num_refinement_blocks": 1}
needs_einops = pytest.mark.skipif(not restormer.has_einops, reason="einops is not installed")


@needs_einops
def test_it_is_as_large_as_the_two_stage_denoiser(denoisers):
    network = RestormerDenoiser()
    assert denoisers.count(network) == 8_045_200
    with FlopCounterMode(display=False) as counter:
        macs = denoisers.macs(network)
    assert f"{macs / 1e9:.2f}" == "38.40"
    assert macs == pytest.approx(38_340_263_936, rel=0.002)  # TwoStageDenoiser's
    assert f"{(counter.get_total_flops() // 2 - macs) / 1e9:.2f}" == "3.50"  # attention


@needs_einops
def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: RestormerDenoiser(channels, **SMALL))


@needs_einops
def test_the_image_is_added_and_odd_sizes_are_padded_by_reflection(denoisers):
    torch.manual_seed(0)
    network = RestormerDenoiser(**SMALL)
    x = denoisers.image(1, 3, 19, 30)
    padded = functional.pad(x, (0, 2, 0, 5), mode="reflect")
    torch.testing.assert_close(network(x), x + network.network(padded)[..., :19, :30])
    with torch.no_grad():
        for parameter in network.network.output.parameters():
            parameter.zero_()
    assert torch.equal(network(x), x)


@needs_einops
def test_frozen_value(denoisers):
    torch.manual_seed(0)
    x = denoisers.image(1, 3, 17, 16)
    with torch.no_grad():
        assert float((RestormerDenoiser()(x) - x).mean()) == pytest.approx(-3.974555e-02, rel=1e-3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(restormer, "has_einops", False)
    with pytest.raises(ImportError, match="einops"):
        RestormerDenoiser()


# arguments, the message
@needs_einops
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_blocks": (1, 2)}, "equally many"),
        ({"num_blocks": (1, 2, 0, 1)}, "positive"),
        ({"features": 3}, "even"),
        ({"features": 6, "heads": (4, 1, 1, 1)}, "multiple of its heads"),
        ({"channels": 0}, "channels must be a positive integer"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RestormerDenoiser(**arguments)
