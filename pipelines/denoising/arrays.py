# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising arrays by settings, as slices in rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from ...transforms.intensity import EIGHT_BIT_RANGE, GRAY_LEVELS, warn_of_guess
from ..formats.stack import ImageStack
from .denoiser import Denoiser, get_denoiser
from .mapping import ARRAY_OPTIONS, find_stack_range
from .settings import DenoisingSettings

__all__ = ["denoise_array", "to_slices"]

ArrayT = TypeVar("ArrayT", np.ndarray, torch.Tensor)


def denoise_array(
    array: ArrayT,
    settings: DenoisingSettings,
    color: bool | None = None,
    meta: Mapping[str, Any] | None = None,
    denoiser: Denoiser | None = None,
) -> ArrayT:
    """Denoise an image or a stack of images by the rules of :func:`noisewise.denoise`, with settings in one object.

    Args:
        array: NumPy array or torch tensor of a shape that :func:`noisewise.denoise` accepts.
        settings: how to denoise. If they state no device, a tensor is denoised on its own device.
        color: whether a last axis of 3 holds colors; None takes it for colors.
        meta: metadata of the reader, which may state what the values are.
        denoiser: denoises instead of the settings' model.

    Returns:
        The denoised array, with the type, dtype, shape and device of ``array``.

    Raises:
        ValueError: see :func:`noisewise.denoise`.
    """
    settings.check_device()
    if isinstance(array, torch.Tensor):
        values = array.detach().as_subclass(torch.Tensor)
        if settings.device is None:
            settings = replace(settings, device=values.device)
        host = values.cpu()
        host = host.float() if host.dtype in (torch.bfloat16, torch.float16) else host
        return torch.from_numpy(_denoise_numpy(host.numpy(), settings, color, meta, denoiser)).to(values)
    return _denoise_numpy(np.asarray(array), settings, color, meta, denoiser)


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
    array: np.ndarray,
    settings: DenoisingSettings,
    color: bool | None,
    meta: Mapping[str, Any] | None,
    denoiser: Denoiser | None,
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
    denoiser = denoiser or get_denoiser(settings, stack.modality)
    found = find_stack_range(stack, None, settings.intensity_range, denoiser.model.name, ARRAY_OPTIONS)
    if found is None:
        return array.copy()
    warn_of_guess(found, ARRAY_OPTIONS.stated)
    stored_range = stack.stored_range
    if found.guess == GRAY_LEVELS and settings.intensity_range is None:
        stored_range = EIGHT_BIT_RANGE
    limits = (found.low, found.high)
    return denoiser.denoise_slices(slices, limits, settings.strength, stored_range).reshape(array.shape)


def _cannot_be_written(*_: object) -> None:
    raise NotImplementedError("arrays are not written to files.")
