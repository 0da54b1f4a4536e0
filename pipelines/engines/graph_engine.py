# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The common part of the engines that compile a network's graph."""

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

from ...networks.padding import apply_padded
from .base import EngineError
from .torch_engine import inference_networks

__all__ = ["GraphEngine", "Shape", "example", "without_warnings"]

# None stands for any length.
Shape = tuple[int | None, int, int | None, int | None]
MOST_COMPILED = 4
# After this many calls in a row with images of one shape, as for the slices of a series, a graph for that shape alone
# is compiled. That takes seconds, and the graph is a tenth faster.
MOST_CALLS_ALIKE = 8
# Largest difference between a captured graph and PyTorch, relative to the largest value.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}


class GraphEngine(ABC):
    """Compiles a network on first use and runs it on the CPU, one call at a time.

    A network that states its ``receptive_radius`` does the same work at every pixel. It is compiled once for color and
    once for gray, for any size and batch, and once more for a shape that comes again and again. Images are padded to
    its ``grid``, if it has one, before they reach the graph. Other networks may
    compute sizes in Python, which a captured graph fixes; they are compiled anew for each shape and compared with
    PyTorch on a random image; the last few are kept.

    Args:
        network: maps ``(B, 3, H, W)`` to the same shape; a copy of it is run.
        precision: ``"float32"`` or ``"bfloat16"``.

    Raises:
        EngineError: by a call, if the network cannot be expressed as a graph of the engine.
    """

    name: str
    bytes_per_pixel: int

    def __init__(self, network: nn.Module, precision: str) -> None:
        self.precision = precision
        self.networks = inference_networks(network, precision)
        self._takes_any_size = hasattr(network, "receptive_radius")
        self._grid = getattr(network, "grid", 1)
        self._compiled = lru_cache(MOST_COMPILED)(self._prepare)
        # Only one, since each keeps its working memory.
        self._compiled_for_series = lru_cache(1)(self._prepare)
        self._lock = threading.Lock()
        self._last_shape: tuple[int, ...] = ()
        self._calls_alike = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See :class:`~noisewise.pipelines.engines.base.Engine`."""
        images = np.ascontiguousarray(images, np.float32)
        if self._grid == 1:
            return self._run_compiled(images)
        return apply_padded(
            lambda padded: torch.from_numpy(self._run_compiled(padded.contiguous().numpy())),
            torch.from_numpy(images),
            multiple=self._grid,
        ).numpy()

    def _run_compiled(self, images: np.ndarray) -> np.ndarray:
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
        """Compile the graph that :meth:`_run` runs for images of a shape."""

    @abstractmethod
    def _run(self, compiled: Any, images: np.ndarray) -> np.ndarray:
        """Return the denoised images in a new array."""


def example(shape: Shape) -> torch.Tensor:
    """Images to capture a graph with. Free lengths get different values, which are on the grid of every network."""
    lengths = [length or default for length, default in zip(shape, (2, None, 96, 64))]
    return torch.rand(lengths, generator=torch.Generator().manual_seed(0))  # The global generator belongs to the user.


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence warnings that TorchScript is deprecated: the converters of all supported PyTorch versions take it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
