# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising with trained weights: arrays, MONAI pipelines, engines and the audit of the removed noise."""

from .denoiser import Denoiser, Engine, RemovedPart, has_native_bfloat16, load_engine
from .function import denoise
from .models import DenoisingModel, choose_model, load_model
from .settings import ENGINES, PRECISIONS, DenoisingSettings, EngineError
from .tiling import Tile, tiles
from .transform import Denoised

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Denoised",
    "Denoiser",
    "DenoisingModel",
    "DenoisingSettings",
    "Engine",
    "EngineError",
    "RemovedPart",
    "Tile",
    "choose_model",
    "denoise",
    "has_native_bfloat16",
    "load_engine",
    "load_model",
    "tiles",
]
