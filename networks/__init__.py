# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising networks. They know nothing of data, training or files."""

from .grayscale import GrayscaleDenoiser, fold_to_grayscale
from .nen import NoiseEstimationNetwork
from .noise_attention import NoiseAttentionBlock
from .residual_denoiser import ResidualDenoiser
from .residual_dense import GatedDenseTrunk, ResidualDenseBlock, ResidualInResidualDenseBlock
from .rn import ReconstructionNetwork
from .two_stage import TwoStageDenoiser, TwoStageWithoutAttention

__all__ = [
    "GatedDenseTrunk",
    "GrayscaleDenoiser",
    "NoiseAttentionBlock",
    "NoiseEstimationNetwork",
    "ReconstructionNetwork",
    "ResidualDenoiser",
    "ResidualDenseBlock",
    "ResidualInResidualDenseBlock",
    "TwoStageDenoiser",
    "TwoStageWithoutAttention",
    "fold_to_grayscale",
]
