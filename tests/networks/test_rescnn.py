# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""ResCNN, which is re-interpreted as a DnCNN of 15 layers."""

from __future__ import annotations

import pytest
import torch

from noisewise.networks import DnCNN, ResCNN


def test_counts(denoisers):
    network = ResCNN()
    assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) == 15
    assert denoisers.count(network) == (27 * 64 + 64) + 13 * (9 * 64**2 + 128) + (9 * 64 * 3 + 3) == 484_419
    assert denoisers.macs(network) == 256**2 * 9 * (2 * 3 * 64 + 13 * 64**2)


def test_behaves_as_a_denoiser(denoisers):
    denoisers.check(lambda channels=3: ResCNN(channels, depth=4, features=8))


def test_it_is_a_dncnn_of_its_depth(denoisers):
    torch.manual_seed(0)
    network = ResCNN(features=8).eval()
    twin = DnCNN(depth=15, features=8).eval()
    twin.load_state_dict(network.state_dict())
    x = denoisers.image(1, 3, 9, 9)
    assert torch.equal(network(x), twin(x))


def test_frozen_value(denoisers):
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(ResCNN().eval()(denoisers.image(1, 3, 10, 9)).mean()) == pytest.approx(0.619337, rel=1e-4)


def test_the_docstring_says_that_it_is_re_interpreted():
    assert "re-interpreted" in ResCNN.__doc__
