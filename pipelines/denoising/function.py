# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise.denoise``: an array in, the same array denoised out."""

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

    Values outside the intensity range pass through unshifted. The weights are loaded on the first call only.

    Args:
        array: numpy array or torch tensor: ``(H, W)``, ``(H, W, 3)``, a stack ``(N, H, W)`` (slices along the first
            axis, one intensity range for all) or ``(N, H, W, 3)``. Integers or floats.
        model: a bundle's name, a bundle's folder or a weights file.
        engine: ``"auto"`` (the fastest installed), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        tile_size: side of a tile in pixels; None tiles only what does not fit ``memory``. The result does not depend
            on it.
        device: ``"cpu"``, ``"cuda"``, ...; by default a GPU where there is one, for a tensor the device it is on.
        strength: 0 gives the input back, 1 the denoised image, anything between a blend.
        intensity_range: the values that stand for black and white. By default integers have their dtype's range,
            floats [0, 1], and the CT model takes Hounsfield units (-1000, 1000). Images that fill a part of their
            dtype's range only, such as 12 bits in uint16, need it stated.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 for 8-bit values where the processor has it,
            float32 for all others.
        color: whether a last axis of 3 holds colours; by default it does.
        memory: working memory in bytes, beyond input and output.

    Returns:
        The denoised array: kind, dtype, shape and device of ``array``. Integers are rounded to the nearest.

    Raises:
        ValueError: when the shape, dtype or an option is wrong, or values are NaN or infinite.
        FileNotFoundError: when there is no such model.

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
    """Denoise an image or a stack of images as settings say, see :func:`denoise`.

    Args:
        array: numpy array or torch tensor, of a shape that :func:`denoise` takes.
        settings: how. Where they state no device, a tensor is denoised on its own.
        color: whether a last axis of 3 holds colors; None takes it for colors.

    Returns:
        The denoised array: kind, dtype, shape and device of ``array``.

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
    """The intensities that stand for black and white where nobody states them.

    Args:
        dtype: of the array.
        model_name: the model's; the CT model takes Hounsfield units.

    Returns:
        -1000..1000 for the CT model, the dtype's own range for integers, 0..1 for floats.
    """
    if is_ct_model(model_name):
        return CT_RANGE
    return (0.0, 1.0) if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))


def to_slices(array: np.ndarray, color: bool | None = None) -> np.ndarray:
    """View an array as slices.

    Args:
        array: ``(H, W)``, ``(H, W, 3)``, ``(N, H, W)`` or ``(N, H, W, 3)``.
        color: whether a last axis of 3 holds colours; True when None.

    Returns:
        ``(N, H, W)`` or ``(N, H, W, 3)``.

    Raises:
        ValueError: when the shape is none of these, or the dtype is not of integers or real numbers.
    """
    if array.dtype.kind not in "uif":
        raise ValueError(f"expected integers or real numbers, got {array.dtype}.")
    is_color = array.ndim >= 3 and array.shape[-1] == 3 if color is None else color
    if is_color and (array.ndim not in (3, 4) or array.shape[-1] != 3):
        raise ValueError(f"a colour image is (H, W, 3) or (N, H, W, 3), got shape {array.shape}.")
    if array.ndim - is_color not in (2, 3):
        raise ValueError(f"expected (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3), got shape {array.shape}.")
    return array if array.ndim - is_color == 3 else array[None]


def _denoise_numpy(array: np.ndarray, settings: DenoisingSettings, color: bool | None) -> np.ndarray:
    denoiser = get_denoiser(settings)
    slices = to_slices(array, color)
    limits = settings.intensity_range or array_range(array.dtype, denoiser.model.name)
    return denoiser.denoise_slices(slices, limits, settings.strength).reshape(array.shape)
