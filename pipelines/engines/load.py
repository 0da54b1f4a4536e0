# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The choice of an engine."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import nn

from ...networks import TwoStageDenoiser
from .base import ENGINES, PRECISIONS, Engine, EngineError
from .onnx_engine import ONNXRuntimeEngine
from .openvino_engine import OpenVINOEngine
from .torch_engine import TorchEngine

__all__ = ["load_engine"]


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
