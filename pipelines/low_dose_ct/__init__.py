# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Low-dose CT, evaluated as in CT physics: noise power, edge sharpness, HU bias, detectability of lesions."""

from .detectability import Detectability, area_under_curve, hotelling_observer, laguerre_gauss_channels
from .edges import EdgeResponse, Edges, edge_response, edge_sharpness_ratio, find_edges
from .lesions import cut_around, disk_signal, gaussian_transfer, insert_signal
from .noise_power import NoisePowerSpectrum, noise_power_spectrum, residual_noise_std
from .regions import (
    BODY_LIMIT_HU,
    TISSUE_LIMITS_HU,
    Region,
    body_mask,
    flat_regions,
    patient_outline,
    reconstruction_circle,
    tissue_masks,
)
from .rows import read_rows
from .score_handler import CTScores
from .scores import body_rmse, score_slice, windowed
from .tables import summary_metrics
from .tissue_bias import tissue_bias
from .wiener import RadialWienerFilter

__all__ = [
    "BODY_LIMIT_HU",
    "CTScores",
    "Detectability",
    "EdgeResponse",
    "Edges",
    "NoisePowerSpectrum",
    "RadialWienerFilter",
    "Region",
    "TISSUE_LIMITS_HU",
    "area_under_curve",
    "body_mask",
    "body_rmse",
    "cut_around",
    "disk_signal",
    "edge_response",
    "edge_sharpness_ratio",
    "find_edges",
    "flat_regions",
    "gaussian_transfer",
    "hotelling_observer",
    "insert_signal",
    "laguerre_gauss_channels",
    "noise_power_spectrum",
    "patient_outline",
    "read_rows",
    "reconstruction_circle",
    "residual_noise_std",
    "score_slice",
    "summary_metrics",
    "tissue_bias",
    "tissue_masks",
    "windowed",
]
