# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The options of a request."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

import torch
from monailabel.utils.others.generic import device_list, name_to_device

from ...listing import unknown_name
from ..denoising.settings import DenoisingSettings

__all__ = ["check_parameters", "default_options", "request_settings", "result_extension"]

MODALITIES = ("auto", "ct", "other")
EXTENSIONS = (".nii.gz", ".nii")
# MONAI Label's own, for all models. Of these, its viewers and batches send some that do nothing here.
COMMON = ("save_label", "label_tag", "client_id", "logging", "images")
WITHOUT_EFFECT = (
    "gpus",
    "label_info",
    "max_batch_size",
    "max_workers",
    "multi_gpu",
    "restore_label_idx",
    "result_compress",
    "result_dtype",
)


def default_options() -> dict[str, Any]:
    """The options as ``/info/`` shows them. The first entry of a list is the default, the others are alternatives."""
    return {
        "strength": 1.0,
        "modality": list(MODALITIES),
        "intensity_range": None,
        "result_extension": list(EXTENSIONS),
        "device": device_list(),
    }


def check_parameters(params: Mapping[str, Any]) -> None:
    """Refuse parameters that nothing is known by. A misspelled one would silently have no effect.

    Args:
        params: the parameters of a request.

    Raises:
        ValueError: names the parameter, and the one that is meant.
    """
    known = (*default_options(), *COMMON)
    for name in params:
        if name not in known and name not in WITHOUT_EFFECT:
            meant = difflib.get_close_matches(name, known, n=1)
            hint = f" Is {meant[0]} meant?" if meant else ""
            raise ValueError(unknown_name("parameter", name, known) + hint)


def request_settings(request: Mapping[str, Any]) -> DenoisingSettings:
    """Read and check the settings of a request.

    Args:
        request: as MONAI Label hands it to a task. ``strength``; ``modality``, which is ``"ct"`` for Hounsfield units,
            ``"other"`` for other values and ``"auto"`` for what a DICOM header states; ``intensity_range``, the values
            that stand for black and white in the image's own unit, None to find them; ``device``, as PyTorch names it.
            Missing ones have their defaults.

    Returns:
        The settings.

    Raises:
        ValueError: if an option is wrong; the message names it and the valid values.
    """
    chosen = {**default_options(), **request}
    modality = _one_of("modality", chosen["modality"], MODALITIES)
    return DenoisingSettings(
        strength=_strength(chosen["strength"]),
        modality=None if modality == "auto" else modality,
        intensity_range=_range(chosen["intensity_range"]),
        device=_device(chosen["device"]),
    )


def result_extension(request: Mapping[str, Any]) -> str:
    """The extension of the result's file.

    Args:
        request: as for :func:`request_settings`.

    Returns:
        ``".nii.gz"`` or ``".nii"``.

    Raises:
        ValueError: if the request asks for another.
    """
    return _one_of("result_extension", request.get("result_extension", EXTENSIONS[0]), EXTENSIONS)


def _number(value: Any) -> float:
    """A number, or NaN. Viewers send some numbers as text."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _strength(value: Any) -> float:
    strength = _number(value)
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be a number in [0, 1], got {value!r}.")
    return strength


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    value = value[0] if isinstance(value, list) and value else value
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
    return value


def _range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    limits = tuple(_number(each) for each in value) if isinstance(value, list) else ()
    if len(limits) != 2 or not (math.isfinite(limits[0]) and math.isfinite(limits[1]) and limits[0] < limits[1]):
        raise ValueError(f"intensity_range must be two numbers [low, high], the lower one first, got {value!r}.")
    return limits


def _device(value: Any) -> str:
    device = name_to_device(value) if isinstance(value, (str, list)) and value else str(value)
    known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if device not in known and not (device == "cuda" and len(known) > 1):
        raise ValueError(f"device must be one of {', '.join(known)}, got {value!r}.")
    return device
