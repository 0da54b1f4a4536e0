# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The interface that all engines share."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["ENGINES", "PRECISIONS", "Engine", "EngineError"]

ENGINES = ("auto", "torch", "openvino", "onnxruntime")
PRECISIONS = ("auto", "float32", "bfloat16")


class EngineError(ValueError):
    """An engine that does not exist, is not installed or cannot do what was asked for."""


class Engine(Protocol):
    """Runs one network in one precision on one device.

    Attributes:
        name: one of :data:`ENGINES`, not ``"auto"``.
        precision: ``"float32"`` or ``"bfloat16"``.
        bytes_per_pixel: working memory for each pixel of a batch, which bounds tiles and batches.
    """

    name: str
    precision: str
    bytes_per_pixel: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Denoise.

        Args:
            images: ``(B, C, H, W)`` float32 in [0, 1], C being 1 (grey, which costs one pass) or 3.

        Returns:
            The denoised images, float32, of the same shape.
        """
        ...
