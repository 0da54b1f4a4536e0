# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising with trained weights: arrays, MONAI pipelines, engines and the audit of what was removed."""

from ..bundle.precision import has_native_bfloat16
from ..engines.base import ENGINES, PRECISIONS, Engine, EngineError
from ..engines.load import load_engine
from .denoiser import Denoiser, Removed
from .function import denoise
from .models import DenoisingModel, choose_model, load_model
from .tiling import Tile, tiles
from .transform import Denoised

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Denoised",
    "Denoiser",
    "DenoisingModel",
    "Engine",
    "EngineError",
    "Removed",
    "Tile",
    "choose_model",
    "denoise",
    "has_native_bfloat16",
    "load_engine",
    "load_model",
    "tiles",
]
