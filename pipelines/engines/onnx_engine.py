# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as an engine."""

from __future__ import annotations

import io
import os
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ...usage_reports import block_usage_reports
from .base import EngineError
from .graph_engine import GraphEngine, Shape, example, without_warnings

__all__ = ["ONNXRuntimeEngine"]

OPSET = 17


class ONNXRuntimeEngine(GraphEngine):
    """Runs a network in ONNX Runtime, on as many threads as PyTorch has when the engine is made.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"``; ONNX Runtime has no bfloat16 convolutions for CPUs.
        device: the CPU.

    Raises:
        EngineError: if ONNX Runtime is not installed, or does not support the device or the precision.
    """

    name = "onnxruntime"
    bytes_per_pixel = 1250

    def __init__(self, network: nn.Module, precision: str = "float32", device: str | torch.device = "cpu") -> None:
        if torch.device(device).type != "cpu":
            raise EngineError(f"the engine onnxruntime runs on the CPU, not on {device}.")
        if precision != "float32":
            raise EngineError(f"the engine onnxruntime computes in float32, not in {precision}.")
        onnxruntime = _onnxruntime()
        super().__init__(network, precision)
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = torch.get_num_threads()
        self._options.enable_mem_pattern = False  # It would keep one for each shape.
        self._session = onnxruntime.InferenceSession

    def _compile(self, shape: Shape) -> Any:
        file = io.BytesIO()
        axes = {axis: f"axis{axis}" for axis, length in enumerate(shape) if length is None}
        try:
            with without_warnings(), torch.inference_mode():
                torch.onnx.export(
                    self.networks[shape[1]],
                    (example(shape),),
                    file,
                    input_names=["image"],
                    output_names=["pred"],
                    dynamic_axes={"image": axes, "pred": axes},
                    opset_version=OPSET,
                    dynamo=False,
                )
            return self._session(file.getvalue(), self._options, providers=["CPUExecutionProvider"])
        except RuntimeError as error:
            raise EngineError(f"ONNX Runtime cannot run this network: {str(error).strip().splitlines()[0]}") from error

    def _run(self, compiled: Any, images: np.ndarray) -> np.ndarray:
        try:
            return compiled.run(None, {"image": images})[0]
        except Exception as error:  # Its own exceptions have no common base.
            raise EngineError(f"ONNX Runtime cannot run this network: {error}") from error


def _onnxruntime() -> ModuleType:
    block_usage_reports()
    try:
        import onnx  # noqa: F401 - the exporter needs it
        import onnxruntime
    except ImportError as error:
        raise EngineError("ONNX Runtime is not installed: pip install 'noisewise[onnx]'") from error
    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        onnxruntime.disable_telemetry_events()  # Windows and older versions ignore the variable.
    return onnxruntime
