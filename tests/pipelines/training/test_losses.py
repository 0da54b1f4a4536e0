# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses: values by hand, and what PSNRLoss weighs."""

from __future__ import annotations

import math

import pytest
import torch

from noisewise.pipelines.training import PSNRLoss


def test_psnr_loss_is_the_negated_mean_psnr():
    target = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pred = target + torch.tensor([0.01, 0.1, 0.3]).reshape(3, 1, 1, 1)
    psnr = torch.tensor([40.0, 20.0, -20 * math.log10(0.3)])
    expected = -psnr.mean() * math.log(10) / 10
    assert float(PSNRLoss(floor=1e-12)(pred, target)) == pytest.approx(float(expected), rel=1e-5)


def test_floor_bounds_the_loss_of_a_perfect_image():
    target = torch.rand(2, 1, 8, 8)
    assert float(PSNRLoss(floor=1e-5)(target, target)) == pytest.approx(math.log(1e-5))
    with pytest.raises(ValueError, match="floor must be positive, got 0"):
        PSNRLoss(floor=0)


def test_relative_errors_of_weak_and_strong_noise_weigh_the_same():
    target = torch.zeros(2, 1, 4, 4)
    gains = torch.tensor([0.02, 0.2]).reshape(2, 1, 1, 1).requires_grad_()
    PSNRLoss(floor=1e-12)(gains * torch.ones(2, 1, 4, 4), target).backward()
    weak, strong = (gains.grad * gains.detach()).flatten().tolist()
    assert weak == pytest.approx(strong, rel=1e-5)
