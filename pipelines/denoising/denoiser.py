# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From stored values to denoised stored values: intensity range, tiles, batches and precision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ...transforms.intensity_outside import OUTSIDE_REACH, limit_outside
from ..bundle.precision import has_native_bfloat16
from ..engines.base import Engine
from ..engines.load import load_engine
from ..moved import renamed
from .models import DenoisingModel, choose_model, load_model
from .overlay import find_overlays, overlay_weight
from .settings import DEFAULT_MEMORY, DEFAULT_MODEL, DenoisingSettings
from .tiling import Tile, tiles

__all__ = ["DEFAULT_MEMORY", "Denoiser", "RemovedPart", "cached_denoiser", "get_denoiser"]

LARGEST_BATCH = 8
SMALLEST_TILE = 64
BAND_ROWS = 256


@dataclass(frozen=True)
class RemovedPart:
    """The noise that was removed from a part of the slices.

    Attributes:
        index: the slices.
        core: the rows and columns.
        values: ``(n, h, w)`` or ``(n, h, w, 3)`` float32, stored minus denoised, in units of the stored values,
            before rounding.
    """

    index: slice
    core: tuple[slice, slice]
    values: np.ndarray


class Denoiser:
    """A model, ready to denoise arrays of any size.

    Args:
        model: a bundle's name, a bundle's folder or a weights file, see
            :func:`~noisewise.pipelines.denoising.models.load_model`.
        engine: ``"auto"`` (the fastest installed), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        precision: ``"float32"``; ``"bfloat16"``; ``"auto"`` takes bfloat16 for 8-bit values where the device computes
            in it natively, and float32 otherwise.
        device: ``"cpu"``, ``"cuda"``, ...; None takes a GPU if there is one.
        tile_size: side of a tile in pixels; None tiles only images that do not fit ``memory``, by the largest tile
            that does. The result does not depend on it by more than about 1e-6.
        memory: working memory in bytes, beyond the input and output arrays.
        config: file with the ``network_def``, for a weights file of another network.

    Raises:
        ValueError: if an argument is out of range, or the model cannot be loaded.
        FileNotFoundError: if there is no such model.
    """

    def __init__(
        self,
        model: str | os.PathLike = DEFAULT_MODEL,
        engine: str = "auto",
        precision: str = "auto",
        device: str | torch.device | None = None,
        tile_size: int | None = None,
        memory: int = DEFAULT_MEMORY,
        config: str | os.PathLike | None = None,
    ) -> None:
        settings = DenoisingSettings(
            model=model,
            config=config,
            engine=engine,
            precision=precision,
            device=device,
            tile_size=tile_size,
            memory=memory,
        )
        self._set_up(load_model(settings.model, settings.config), settings)

    @classmethod
    def around(cls, model: DenoisingModel, settings: DenoisingSettings) -> Denoiser:
        """A denoiser of a model that is in memory.

        Args:
            model: the model.
            settings: their engine, precision, device, tile size and memory are used.
        """
        denoiser = cls.__new__(cls)
        denoiser._set_up(model, settings)
        return denoiser

    def _set_up(self, model: DenoisingModel, settings: DenoisingSettings) -> None:
        self.model, self.settings = model, settings
        self.device = torch.device(self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._engines: dict[str, Engine] = {}

    def engine(self, eight_bit: bool = False) -> Engine:
        """The engine for 8-bit values or for all others, created on first use."""
        precision = self.settings.precision
        if precision == "auto":
            precision = "bfloat16" if eight_bit and has_native_bfloat16(self.device) else "float32"
        if precision not in self._engines:
            self._engines[precision] = load_engine(self.model.network, self.settings.engine, precision, self.device)
        return self._engines[precision]

    def describe(self, eight_bit: bool = False) -> str:
        """The model and its engine in a few words.

        Args:
            eight_bit: whether the stored values are 8-bit gray levels.
        """
        engine = self.engine(eight_bit)
        return (
            f"{self.model.name}, weights {self.model.digest[:12]}; {engine.name}, {engine.precision} on {self.device}"
        )

    def denoise_slices(
        self,
        slices: np.ndarray,
        unit_range: tuple[float, float] | tuple[np.ndarray, np.ndarray],
        strength: float = 1.0,
        stored_range: tuple[float, float] | None = None,
        frozen: np.ndarray | None = None,
        out: np.ndarray | None = None,
        on_removed: Callable[[RemovedPart], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> np.ndarray:
        """Denoise slices.

        ``out = in - strength * (v - D(v)) * (high - low)`` with ``v = limit_outside((in - low) / (high - low))``, see
        :func:`~noisewise.transforms.limit_outside`: noise outside the range is removed as well, and what lies far
        outside keeps its distance. Colors laid over a gray image stay, see
        :mod:`~noisewise.pipelines.denoising.overlay`. Only one window of the slices is converted at a time, so that
        memory beyond ``slices`` and ``out`` is bounded.

        Args:
            slices: ``(N, H, W)`` gray or ``(N, H, W, 3)`` color, real numbers of any dtype. Color images with equal
                channels are denoised as gray ones.
            unit_range: the stored values ``(low, high)`` that map to 0 and 1, as numbers or arrays ``(N,)``. ``low`` is
                the larger one for a negative slope.
            strength: 0 returns the input, 1 the denoised image, values between a blend.
            stored_range: integers are clipped to it; None takes the range of their dtype.
            frozen: ``(N, H, W)``, True where values must not change.
            out: array for the result, which must not overlap ``slices``; None creates one.
            on_removed: called with the noise removed from each part.
            on_progress: called with the number of slices (fractions for tiles) that each step completes.

        Returns:
            The denoised slices in the shape and dtype of ``slices``. Integers are rounded to the nearest.

        Raises:
            ValueError: if a shape, the range or the strength is wrong, if values are not finite, or if an image is too
                large and the model cannot be tiled.
        """
        slices = np.asarray(slices)
        _check_slices(slices, strength)
        out = np.empty_like(slices, order="C") if out is None else out
        if out.shape != slices.shape or out.dtype != slices.dtype:
            raise ValueError(f"out is {out.dtype} {out.shape}, the slices are {slices.dtype} {slices.shape}.")
        if slices.size == 0 or strength == 0:
            out[...] = slices
            return out
        count = len(slices)
        low, high = (np.broadcast_to(np.asarray(value, np.float64), (count,)) for value in unit_range)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low != high).all()):
            raise ValueError(f"the intensity range {unit_range} is empty or not finite.")
        gray = slices.ndim == 3 or _has_equal_channels(slices)
        overlays = np.zeros(count, bool) if gray else find_overlays(slices, low, high)
        engine = self.engine(slices.dtype == np.uint8)
        pixels = slices.shape[1] * slices.shape[2]
        for index, tile in self._parts(slices.shape[:3], engine):
            stored = _with_channels(slices[(index, *tile.window)])[..., : 1 if gray else 3]
            scale = (-1, 1, 1, 1)
            begin, width = low[index].reshape(scale), (high - low)[index].reshape(scale)
            if stored.dtype.kind == "f" and not np.isfinite(stored).all():
                raise ValueError("the image holds NaN or infinite values.")
            unit = np.moveaxis(((stored - begin) / width).astype(np.float32), -1, 1)
            seen = limit_outside(torch.from_numpy(np.ascontiguousarray(unit))).numpy()
            inner = (slice(None), *tile.inner)
            removed = np.moveaxis(seen - engine(seen), 1, -1)[inner] * (strength * width).astype(np.float32)
            for place in np.flatnonzero(overlays[index]):
                number = index.start + place
                weight = overlay_weight(slices[number], tile.core, low[number], high[number])
                removed[place] *= 1 - weight[..., None]
            if frozen is not None:
                removed[frozen[(index, *tile.core)]] = 0
            part = _cast(stored[inner] - removed.astype(np.float64), slices.dtype, stored_range, stored[inner])
            _with_channels(out[(index, *tile.core)])[...] = part
            if on_removed is not None:
                shape = out[(index, *tile.core)].shape
                values = removed[..., 0] if slices.ndim == 3 else np.broadcast_to(removed, shape)
                on_removed(RemovedPart(index, tile.core, values))
            if on_progress is not None:
                on_progress(part[..., 0].size / pixels)
        return out

    def _parts(self, shape: tuple[int, int, int], engine: Engine) -> Iterator[tuple[slice, Tile]]:
        """Batches of slices, or tiles of single slices, that fit the memory."""
        count, height, width = shape
        budget = max(1, self.settings.memory // engine.bytes_per_pixel)
        size, radius = self.settings.tile_size, self.model.halo
        halo = OUTSIDE_REACH + (radius or 0)
        if size is None and height * width > budget:
            size = max(SMALLEST_TILE, int(budget**0.5) - 2 * halo)
        if size is not None and radius is None and max(height, width) > size:
            raise ValueError(
                f"{self.model.name}: this network does not state its receptive radius, so it cannot be tiled; "
                f"{height} x {width} pixels need about {height * width * engine.bytes_per_pixel / 2**30:.1f} GiB."
            )
        for tile in tiles(height, width, size, halo, self.model.grid):
            area = (tile.window[0].stop - tile.window[0].start) * (tile.window[1].stop - tile.window[1].start)
            batch = max(1, min(LARGEST_BATCH, budget // area, count))
            for begin in range(0, count, batch):
                yield slice(begin, min(count, begin + batch)), tile


def get_denoiser(settings: DenoisingSettings, modality: str | None = None) -> Denoiser:
    """The denoiser for images of a modality. Each one is made once in a process.

    Args:
        settings: how to denoise. Their own modality overrides ``modality``.
        modality: the modality that the file states.

    Returns:
        The denoiser; settings that differ only in other fields share it.

    Raises:
        ValueError: if the model cannot be loaded.
        FileNotFoundError: if there is no such model.
    """
    return cached_denoiser(settings.for_denoiser(choose_model(settings.model, settings.modality or modality)))


@lru_cache(maxsize=4)
def cached_denoiser(settings: DenoisingSettings) -> Denoiser:
    """A denoiser that is kept for the next call with equal settings, see :func:`get_denoiser`."""
    return Denoiser(**settings.denoiser_arguments())


def _check_slices(slices: np.ndarray, strength: float) -> None:
    if slices.ndim not in (3, 4) or (slices.ndim == 4 and slices.shape[-1] != 3):
        raise ValueError(f"expected slices (N, H, W) or (N, H, W, 3), got shape {slices.shape}.")
    if slices.dtype.kind not in "uif":
        raise ValueError(f"expected real numbers, got {slices.dtype}.")
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie in [0, 1], got {strength}.")


def _with_channels(slices: np.ndarray) -> np.ndarray:
    """A view with a channel axis."""
    return slices if slices.ndim == 4 else slices[..., None]


def _has_equal_channels(slices: np.ndarray) -> bool:
    # In bands: comparing a huge image must not need another array of its size.
    bands = (each[row : row + BAND_ROWS] for each in slices for row in range(0, slices.shape[1], BAND_ROWS))
    return all(bool((band[..., 1:] == band[..., :1]).all()) for band in bands)


def _cast(
    values: np.ndarray, dtype: np.dtype, stored_range: tuple[float, float] | None, stored: np.ndarray
) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    low, high = stored_range or (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # Values that were outside the range before are not pulled into it.
    rounded = np.rint(np.clip(values, np.minimum(low, stored), np.maximum(high, stored)))
    if dtype.itemsize <= 4:
        return rounded.astype(dtype)
    # Doubles do not hold 64-bit integers near their limits exactly, so values that did not change are not converted.
    return np.where(rounded == stored.astype(np.float64), stored, rounded.astype(dtype))


__getattr__ = renamed(__name__, Removed="RemovedPart")
