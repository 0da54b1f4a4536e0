# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise.denoise``: denoise an array."""

from __future__ import annotations

import os
from typing import Any, TypeVar, cast

import numpy as np
import torch

from .arrays import denoise_array, to_slices
from .settings import DEFAULT_MEMORY, DEFAULT_MODEL, DenoisingSettings

__all__ = ["denoise", "denoise_array", "to_slices"]

ArrayT = TypeVar("ArrayT", np.ndarray, torch.Tensor)


def denoise(
    array: ArrayT,
    model: str | os.PathLike = DEFAULT_MODEL,
    engine: str = "auto",
    tile_size: int | None = None,
    device: str | torch.device | None = None,
    strength: float = 1.0,
    intensity_range: tuple[float, float] | None = None,
    precision: str = "auto",
    color: bool | None = None,
    memory: int = DEFAULT_MEMORY,
    channel_first: bool | None = None,
) -> ArrayT:
    """Denoise an image or a stack of images.

    The weights are loaded once, on the first call.

    Args:
        array: NumPy array, nested lists, or torch tensor of integers or floats: ``(H, W)``, ``(H, W, 3)``, a stack of
            slices ``(N, H, W)`` with one intensity range for all, or ``(N, H, W, 3)``. With ``channel_first``
            ``(C, H, W)`` or ``(N, C, H, W)`` with 1 or 3 channels. A MetaTensor of three or four axes is denoised as by
            :class:`~noisewise.Denoised`.
        model: a bundle's name, a bundle's folder or a weights file.
        engine: ``"auto"`` (the fastest installed), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        tile_size: side of a tile in pixels; None tiles only images that do not fit ``memory``. The result does not
            depend on it.
        device: ``"cpu"``, ``"cuda"``, ...; None takes the device of a tensor, and for an array a GPU if there is one.
        strength: 0 returns the input, 1 the denoised image, values between a blend.
        intensity_range: the values ``(low, high)`` that stand for black and white. By default these are 0 and 255 for
            uint8, -1000 and 1000 HU for the CT model, and 0 and 1 for floats about [0, 1], noise outside included. Of
            other arrays the values decide, as for files: 0 and 255 for whole numbers up to 255, else 0 and the 99.9th
            percentile; a warning then names the range.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 for 8-bit values if the processor has it,
            float32 for all others.
        color: whether a last axis of 3 holds colors; None takes it for colors.
        memory: working memory in bytes, beyond input and output.
        channel_first: whether the first axis, or the second of four, holds channels, as in PyTorch. None refuses
            tensors that could be either, and takes NumPy arrays for stacks.

    Returns:
        The denoised array, with the type, dtype, shape and device of ``array``; a NumPy array for lists. Integers are
        rounded to the nearest.

    Raises:
        ValueError: if the shape, the dtype or an option is wrong, if values are NaN or infinite, or if many are
            negative and no range is stated.
        EngineError: if there is no such device.
        FileNotFoundError: if there is no such model.

    Example:
        >>> import numpy as np
        >>> from noisewise import denoise
        >>> denoise(np.zeros((32, 48), np.uint8)).shape
        (32, 48)
    """
    settings = DenoisingSettings(
        model=model,
        engine=engine,
        precision=precision,
        device=device,
        tile_size=tile_size,
        memory=memory,
        strength=strength,
        intensity_range=intensity_range,
    )
    _check_kind(array)
    if isinstance(array, torch.Tensor):
        has_layout = array.ndim in (3, 4) or "spatial_shape" in getattr(array, "meta", ())
        if hasattr(array, "meta") and has_layout and channel_first is not False:
            from .transform import Denoise

            return cast(ArrayT, Denoise.from_settings(settings, color is not False)(array))
        channel_first = _tensor_layout(tuple(array.shape), color, channel_first)
    if not channel_first:
        return denoise_array(array, settings, color)
    values = array if isinstance(array, torch.Tensor) else np.asarray(array)
    return _denoise_channel_first(values, settings, color)


def _denoise_channel_first(array: ArrayT, settings: DenoisingSettings, color: bool | None) -> ArrayT:
    shape = tuple(array.shape)
    if len(shape) not in (3, 4) or shape[-3] not in (1, 3):
        raise ValueError(f"channel first is (C, H, W) or (N, C, H, W) with 1 or 3 channels, got shape {shape}.")
    if shape[-3] == 1 or color is False:
        return denoise_array(array.reshape(-1, *shape[-2:]), settings, color=False).reshape(shape)
    if isinstance(array, torch.Tensor):
        return denoise_array(array.movedim(-3, -1), settings, color=True).movedim(-1, -3).contiguous()
    return np.ascontiguousarray(np.moveaxis(denoise_array(np.moveaxis(array, -3, -1), settings, color=True), -1, -3))


def _tensor_layout(shape: tuple[int, ...], color: bool | None, channel_first: bool | None) -> bool:
    """Whether a tensor is channel first, as images in PyTorch mostly are; refuse what could be a stack as well."""
    if channel_first is not None or color is not None or shape[-1:] in ((1,), (3,)) or len(shape) not in (3, 4):
        return bool(channel_first)
    if (len(shape) == 3 and shape[0] == 3) or len(shape) == 4:
        raise ValueError(
            f"a tensor of shape {shape} may hold channels or slices: pass channel_first=True for (C, H, W) and "
            "(N, C, H, W), and channel_first=False for a stack of slices."
        )
    return False


def _check_kind(array: Any) -> None:
    if isinstance(array, (str, os.PathLike)):
        raise ValueError(
            f"{os.fspath(array)!r} is a path, and noisewise.denoise takes arrays; for files there is the command "
            "noisewise denoise INPUT OUTPUT."
        )
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError("masked arrays are not supported; pass array.filled(value), and put masked pixels back after.")
