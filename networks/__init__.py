# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising networks. They know nothing of data, training or files."""

from .cae import ConvolutionalAutoencoder
from .dae import DAE
from .dncnn import DnCNN, MCDnCNN
from .fast_inference import fast_inference_network
from .grayscale import GrayscaleDenoiser, fold_to_grayscale
from .mid_dran import MIDDRAN, DynamicConvolution, NoiseGate
from .mmd import MMD
from .nen import NoiseEstimationNetwork
from .noise_attention import NoiseAttentionBlock
from .red_cnn import REDCNN
from .rescnn import ResCNN
from .residual_denoiser import ResidualDenoiser
from .residual_dense import GatedDenseTrunk, ResidualDenseBlock, ResidualInResidualDenseBlock
from .restormer import RestormerDenoiser
from .rn import ReconstructionNetwork
from .two_stage import TwoStageDenoiser, TwoStageWithoutAttention

__all__ = [
    "ConvolutionalAutoencoder",
    "DAE",
    "DnCNN",
    "DynamicConvolution",
    "GatedDenseTrunk",
    "GrayscaleDenoiser",
    "MCDnCNN",
    "MIDDRAN",
    "MMD",
    "NoiseAttentionBlock",
    "NoiseEstimationNetwork",
    "NoiseGate",
    "REDCNN",
    "ReconstructionNetwork",
    "ResCNN",
    "ResidualDenoiser",
    "ResidualDenseBlock",
    "ResidualInResidualDenseBlock",
    "RestormerDenoiser",
    "TwoStageDenoiser",
    "TwoStageWithoutAttention",
    "fast_inference_network",
    "fold_to_grayscale",
]
