# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise.denoise``: denoise an array."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from ...transforms.intensity import EIGHT_BIT_RANGE, GRAY_LEVELS, warn_of_guess
from ..formats.stack import ImageStack
from .denoiser import get_denoiser
from .mapping import ARRAY_OPTIONS, find_stack_range
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

            return Denoise.from_settings(settings, color is not False)(array)
        channel_first = _tensor_layout(tuple(array.shape), color, channel_first)
    if not channel_first:
        return denoise_array(array, settings, color)
    values = array if isinstance(array, torch.Tensor) else np.asarray(array)
    return _denoise_channel_first(values, settings, color)


def denoise_array(
    array: ArrayT,
    settings: DenoisingSettings,
    color: bool | None = None,
    meta: Mapping[str, Any] | None = None,
) -> ArrayT:
    """Denoise an image or a stack of images by :func:`denoise`'s rules, with settings in one object.

    Args:
        array: NumPy array or torch tensor of a shape that :func:`denoise` accepts.
        settings: how to denoise. If they state no device, a tensor is denoised on its own device.
        color: whether a last axis of 3 holds colors; None takes it for colors.
        meta: metadata of the reader, which may state what the values are.

    Returns:
        The denoised array, with the type, dtype, shape and device of ``array``.

    Raises:
        ValueError: see :func:`denoise`.
    """
    settings.check_device()
    if isinstance(array, torch.Tensor):
        values = array.detach().as_subclass(torch.Tensor)
        if settings.device is None:
            settings = replace(settings, device=values.device)
        host = values.cpu()
        host = host.float() if host.dtype in (torch.bfloat16, torch.float16) else host
        return torch.from_numpy(_denoise_numpy(host.numpy(), settings, color, meta)).to(values)
    return _denoise_numpy(np.asarray(array), settings, color, meta)


def to_slices(array: np.ndarray, color: bool | None = None) -> np.ndarray:
    """View an array as slices.

    Args:
        array: ``(H, W)``, ``(H, W, 3)``, ``(N, H, W)`` or ``(N, H, W, 3)``.
        color: whether a last axis of 3 holds colors; None takes it for colors.

    Returns:
        ``(N, H, W)`` or ``(N, H, W, 3)``.

    Raises:
        ValueError: if the array has another shape, or a dtype other than integers and real numbers.
    """
    if array.dtype.kind not in "uif":
        raise ValueError(f"expected integers or real numbers, got {array.dtype}.")
    is_color = array.ndim >= 3 and array.shape[-1] == 3 if color is None else color
    if is_color and (array.ndim not in (3, 4) or array.shape[-1] != 3):
        raise ValueError(f"a color image is (H, W, 3) or (N, H, W, 3), got shape {array.shape}.")
    if array.ndim - is_color not in (2, 3):
        raise ValueError(f"expected (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3), got shape {array.shape}.")
    return array if array.ndim - is_color == 3 else array[None]


def _denoise_numpy(
    array: np.ndarray, settings: DenoisingSettings, color: bool | None, meta: Mapping[str, Any] | None
) -> np.ndarray:
    slices = to_slices(array, color)
    if not len(slices):
        return array.copy()
    if not slices.size:
        raise ValueError(f"the array is empty, shape {array.shape}.")
    stack = ImageStack(slices, [Path("the array")], _cannot_be_written)
    if meta is not None:
        from .metadata import apply_metadata

        apply_metadata(stack, meta)
    denoiser = get_denoiser(settings, stack.modality)
    found = find_stack_range(stack, None, settings.intensity_range, denoiser.model.name, ARRAY_OPTIONS)
    if found is None:
        return array.copy()
    warn_of_guess(found, ARRAY_OPTIONS.stated)
    stored_range = stack.stored_range
    if found.guess == GRAY_LEVELS and settings.intensity_range is None:
        stored_range = EIGHT_BIT_RANGE
    limits = (found.low, found.high)
    return denoiser.denoise_slices(slices, limits, settings.strength, stored_range).reshape(array.shape)


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


def _cannot_be_written(*_: object) -> None:
    raise NotImplementedError("arrays are not written to files.")
