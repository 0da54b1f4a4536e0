# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs a network: the interface that all engines share, and the choice among them."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ...networks import TwoStageDenoiser
from ..bundle.precision import has_native_bfloat16

__all__ = ["ENGINES", "PRECISIONS", "Engine", "EngineError", "has_native_bfloat16", "load_engine"]

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


def load_engine(
    network: nn.Module, engine: str = "auto", precision: str = "float32", device: str | torch.device | None = None
) -> Engine:
    """Prepare a network for denoising.

    Engines take images of any size in batches of any size, and may be called from any thread; ``docs/engines.md``
    compares them.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; it is not changed.
        engine: one of :data:`ENGINES`. ``"auto"`` takes OpenVINO for a two-stage denoiser on the CPU if it is installed
            and computes in the precision there, which measured fastest, and PyTorch otherwise. It never changes the
            precision.
        precision: ``"float32"`` (results equal to PyTorch's to 1e-4) or ``"bfloat16"``.
        device: ``"cpu"``, ``"cuda"``, ...; a GPU where there is one when None.

    Returns:
        The engine.

    Raises:
        EngineError: when the engine or precision is unknown, not installed, or cannot run on the device.
    """
    from .onnx_engine import ONNXRuntimeEngine
    from .openvino_engine import OpenVINOEngine
    from .torch_engine import TorchEngine

    if engine not in ENGINES:
        raise EngineError(f"no engine {engine!r}; there are {', '.join(ENGINES)}.")
    if precision not in PRECISIONS[1:]:
        raise EngineError(f"no precision {precision!r}; there are {', '.join(PRECISIONS[1:])}.")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if engine == "auto":
        if device.type == "cpu" and isinstance(network, TwoStageDenoiser):
            with suppress(EngineError):
                return OpenVINOEngine(network, precision, device)
        engine = "torch"
    made = {"torch": TorchEngine, "openvino": OpenVINOEngine, "onnxruntime": ONNXRuntimeEngine}
    return made[engine](network, precision, device)
