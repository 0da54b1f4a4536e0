# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a request may ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monailabel.utils.others.generic import device_list, name_to_device

__all__ = ["DenoisingOptions", "default_options"]

MODALITIES = ("auto", "ct", "other")
EXTENSIONS = (".nii.gz", ".nii")


def default_options() -> dict[str, Any]:
    """The options as ``/info/`` shows them; a list stands for its first entry, the others may be chosen."""
    return {
        "strength": 1.0,
        "modality": list(MODALITIES),
        "intensity_range": None,
        "result_extension": list(EXTENSIONS),
        "device": device_list(),
    }


@dataclass(frozen=True)
class DenoisingOptions:
    """The options of one request.

    Attributes:
        strength: 0 gives the input back, 1 the denoised image, anything between a blend.
        modality: ``"ct"`` says that the values are Hounsfield units, ``"other"`` that they are not; ``"auto"`` believes
            a DICOM header.
        intensity_range: the values that stand for black and white, in the image's own unit; None for the rule.
        result_extension: ``".nii.gz"`` or ``".nii"``.
        device: as PyTorch names it.
    """

    strength: float
    modality: str
    intensity_range: tuple[float, float] | None
    result_extension: str
    device: str

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> DenoisingOptions:
        """Read and check the options of a request; what it does not mention has its default.

        Args:
            request: as MONAI Label hands it to a task.

        Returns:
            The options.

        Raises:
            ValueError: naming the option that is wrong, and what is right.
        """
        chosen = {name: request.get(name, default) for name, default in default_options().items()}
        return cls(
            strength=_strength(chosen["strength"]),
            modality=_one_of("modality", chosen["modality"], MODALITIES),
            intensity_range=_range(chosen["intensity_range"]),
            result_extension=_one_of("result_extension", chosen["result_extension"], EXTENSIONS),
            device=_device(chosen["device"]),
        )


def _number(value: Any) -> float:
    """A number, or NaN. Viewers send some of them as text."""
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
