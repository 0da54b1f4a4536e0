# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise.denoise``: denoise an array."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from ...transforms.intensity import CT_RANGE
from .denoiser import get_denoiser
from .models import is_ct_model
from .settings import DEFAULT_MEMORY, DEFAULT_MODEL, DenoisingSettings

__all__ = ["array_range", "denoise", "denoise_array", "to_slices"]

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
) -> ArrayT:
    """Denoise an image or a stack of images.

    Values outside the intensity range keep their distance from it. The weights are loaded once, on the first call.

    Args:
        array: NumPy array or torch tensor of integers or floats: ``(H, W)``, ``(H, W, 3)``, a stack of slices
            ``(N, H, W)`` with one intensity range for all, or ``(N, H, W, 3)``.
        model: a bundle's name, a bundle's folder or a weights file.
        engine: ``"auto"`` (the fastest installed), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        tile_size: side of a tile in pixels; None tiles only images that do not fit ``memory``. The result does not
            depend on it.
        device: ``"cpu"``, ``"cuda"``, ...; None takes the device of a tensor, and for an array a GPU if there is one.
        strength: 0 returns the input, 1 the denoised image, values between a blend.
        intensity_range: the values ``(low, high)`` that stand for black and white. By default this is the dtype's range
            for integers, [0, 1] for floats, and -1000 to 1000 HU for the CT model. State it for images that fill only a
            part of their dtype's range, such as 12 bits in uint16.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 for 8-bit values if the processor has it,
            float32 for all others.
        color: whether a last axis of 3 holds colors; None takes it for colors.
        memory: working memory in bytes, beyond input and output.

    Returns:
        The denoised array, with the type, dtype, shape and device of ``array``. Integers are rounded to the nearest.

    Raises:
        ValueError: if the shape, the dtype or an option is wrong, or values are NaN or infinite.
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
    return denoise_array(array, settings, color)


def denoise_array(array: ArrayT, settings: DenoisingSettings, color: bool | None = None) -> ArrayT:
    """Denoise an image or a stack of images by :func:`denoise`'s rules, with settings in one object.

    Args:
        array: NumPy array or torch tensor of a shape that :func:`denoise` accepts.
        settings: how to denoise. If they state no device, a tensor is denoised on its own device.
        color: whether a last axis of 3 holds colors; None takes it for colors.

    Returns:
        The denoised array, with the type, dtype, shape and device of ``array``.

    Raises:
        ValueError: see :func:`denoise`.
    """
    if isinstance(array, torch.Tensor):
        values = array.detach().as_subclass(torch.Tensor)
        if settings.device is None:
            settings = replace(settings, device=values.device)
        host = values.cpu()
        half = host.dtype in (torch.bfloat16, torch.float16)
        return torch.from_numpy(_denoise_numpy((host.float() if half else host).numpy(), settings, color)).to(values)
    return _denoise_numpy(np.asarray(array), settings, color)


def array_range(dtype: np.dtype, model_name: str = DEFAULT_MODEL) -> tuple[float, float]:
    """The intensities that stand for black and white if no one states them.

    Args:
        dtype: dtype of the array.
        model_name: name of the model; the CT model expects Hounsfield units.

    Returns:
        (-1000, 1000) for the CT model, the dtype's range for integers, (0, 1) for floats.
    """
    if is_ct_model(model_name):
        return CT_RANGE
    return (0.0, 1.0) if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))


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


def _denoise_numpy(array: np.ndarray, settings: DenoisingSettings, color: bool | None) -> np.ndarray:
    denoiser = get_denoiser(settings)
    slices = to_slices(array, color)
    limits = settings.intensity_range or array_range(array.dtype, denoiser.model.name)
    return denoiser.denoise_slices(slices, limits, settings.strength).reshape(array.shape)
