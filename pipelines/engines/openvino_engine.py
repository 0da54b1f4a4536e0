# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO as an engine: the fastest on CPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ...usage_reports import block_usage_reports
from .base import EngineError
from .graph_engine import GraphEngine, Shape, example, without_warnings

__all__ = ["OpenVINOEngine"]

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
# Prepared layers of earlier sizes; by default OpenVINO keeps five times as many.
MOST_PREPARED = 1000


class OpenVINOEngine(GraphEngine):
    """Runs a network in OpenVINO, on as many threads as PyTorch has when the engine is made.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"`` or ``"bfloat16"``. By itself, OpenVINO would choose bfloat16 if the processor has it.
        device: the CPU.

    Raises:
        EngineError: if OpenVINO is not installed, or does not support the device or the precision.
    """

    name = "openvino"
    bytes_per_pixel = 1350

    def __init__(self, network: nn.Module, precision: str = "float32", device: str | torch.device = "cpu") -> None:
        if torch.device(device).type != "cpu":
            raise EngineError(f"the engine openvino runs on the CPU, not on {device}.")
        block_usage_reports()  # OpenVINO reports its own import.
        try:
            import openvino
        except ImportError as error:
            raise EngineError("OpenVINO is not installed: pip install 'noisewise[fast]'") from error
        self._core = openvino.Core()
        # OpenVINO would silently compute in float32.
        if precision == "bfloat16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError("OpenVINO does not compute in bfloat16 on this processor.")
        super().__init__(network, precision)
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
            # Pinned threads of two processes may share a core while other cores are idle.
            "ENABLE_CPU_PINNING": "NO",
            "CPU_RUNTIME_CACHE_CAPACITY": str(MOST_PREPARED),
        }

    def _compile(self, shape: Shape) -> Any:
        # openvino.convert_model does the same, and prepares usage statistics. The frontend that it wraps does not.
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        try:
            with without_warnings(), torch.inference_mode():
                network = self.networks[shape[1]]
                # As a function: tracing a module would compile its other exported methods too.
                traced = torch.jit.trace(lambda images: network(images), example(shape), check_trace=False)
                frontend = FrontEndManager().load_by_framework("pytorch")
                decoder = TorchScriptPythonDecoder(traced)  # It must outlive the conversion.
                model = frontend.convert(frontend.load(decoder))
            model.reshape([-1 if length is None else length for length in shape])
            compiled = self._core.compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            raise _cannot_run(error) from error
        return compiled.create_infer_request()

    def _run(self, compiled: Any, images: np.ndarray) -> np.ndarray:
        try:
            return compiled.infer([images], share_inputs=True, share_outputs=False)[0]
        except RuntimeError as error:
            raise _cannot_run(error) from error


def _cannot_run(error: RuntimeError) -> EngineError:
    return EngineError(f"OpenVINO cannot run this network: {' '.join(str(error).split())}")
