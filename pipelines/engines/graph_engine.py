# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the engines share that compile a network's graph."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from ...networks import TwoStageDenoiser
from .base import EngineError
from .torch_engine import inference_networks

__all__ = ["GraphEngine", "Shape", "example", "quiet"]

# None where any length will do.
Shape = tuple[int | None, int, int | None, int | None]
MOST_COMPILED = 4
# After so many calls in a row with images of one shape, as the slices of a series give, a graph for that shape alone is
# compiled: it takes seconds, and is a tenth faster.
MOST_CALLS_ALIKE = 8
# How far from PyTorch a captured graph may be, as a part of the largest value.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}


class GraphEngine(ABC):
    """Compiles a network on first use and runs it on the CPU, one call at a time.

    A :class:`~noisewise.networks.TwoStageDenoiser` is compiled once for colour and once for grey, and takes any size
    and batch from then on; for a shape that comes again and again it is compiled once more. Other networks may compute
    sizes in Python, which a captured graph fixes; they are compiled anew for each shape and compared with PyTorch on a
    random image; the last few are kept.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"`` or ``"bfloat16"``.

    Raises:
        EngineError: from a call, when the network cannot be expressed as a graph of the engine.
    """

    name: str
    bytes_per_pixel: int

    def __init__(self, network: nn.Module, precision: str) -> None:
        self.precision = precision
        self.networks = inference_networks(network, precision)
        self._takes_any_size = isinstance(network, TwoStageDenoiser)
        self._compiled = lru_cache(MOST_COMPILED)(self._prepare)
        # One alone, since each keeps its working memory.
        self._compiled_for_series = lru_cache(1)(self._prepare)
        self._lock = threading.Lock()
        self._last_shape: tuple[int, ...] = ()
        self._calls_alike = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.engines.base.Engine`."""
        images = np.ascontiguousarray(images, np.float32)
        with self._lock:
            return self._run(self._choose(images.shape), images)

    def _choose(self, shape: tuple[int, ...]) -> Any:
        if not self._takes_any_size:
            return self._compiled(shape)
        self._calls_alike = self._calls_alike + 1 if shape == self._last_shape else 1
        self._last_shape = shape
        if self._calls_alike > MOST_CALLS_ALIKE:
            return self._compiled_for_series(shape)
        return self._compiled((None, shape[1], None, None))

    def _prepare(self, shape: Shape) -> Any:
        compiled = self._compile(shape)
        if not self._takes_any_size:
            images = example(shape)
            with torch.inference_mode():
                expected = self.networks[shape[1]](images).numpy()
            result = self._run(compiled, images.numpy())
            allowed = TOLERANCES[self.precision] * max(1.0, np.abs(expected).max())
            if result.shape != expected.shape or not np.abs(result - expected).max() <= allowed:
                raise EngineError(f"the engine {self.name} cannot express this network; the engine torch runs it.")
        return compiled

    @abstractmethod
    def _compile(self, shape: Shape) -> Any:
        """What :meth:`_run` runs for images of a shape."""

    @abstractmethod
    def _run(self, compiled: Any, images: np.ndarray) -> np.ndarray:
        """The denoised images, in an array of their own."""


def example(shape: Shape) -> torch.Tensor:
    """Images to capture a graph with; lengths that do not matter are two different ones."""
    lengths = [length or default for length, default in zip(shape, (2, None, 24, 16))]
    return torch.rand(lengths, generator=torch.Generator().manual_seed(0))  # the global generator is the user's


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings that TorchScript is deprecated: it is what the converters of all our PyTorch versions take."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
