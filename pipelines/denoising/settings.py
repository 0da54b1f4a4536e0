# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How images are denoised: one object that every way into the denoiser shares."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...data_manifest.modalities import MODALITIES
from ...listing import check_known
from ...transforms.intensity_stated import check_range
from ..engines.base import ENGINES, PRECISIONS, EngineError
from ..moved import renamed

if TYPE_CHECKING:
    import torch

__all__ = ["AUTO", "CT_MODEL", "DEFAULT_MEMORY", "DEFAULT_MODEL", "DenoisingSettings"]

AUTO = "auto"
DEFAULT_MODEL = "multimodal_denoising"
CT_MODEL = "low_dose_ct_denoising"
DEFAULT_MEMORY = 2 * 2**30
# The fields that a loaded denoiser depends on; the others change from image to image.
DENOISER_FIELDS = ("model", "config", "engine", "precision", "device", "tile_size", "memory")


@dataclass(frozen=True)
class DenoisingSettings:
    """The settings of a denoiser and of a run. They are hashable and can be sent to another process.

    Paths, devices and lists are converted to strings and tuples.

    Args:
        model: a bundle's name, a bundle's folder, a weights file, or ``"auto"``, see
            :func:`~noisewise.pipelines.denoising.models.choose_model`.
        config: file with the ``network_def``, for a weights file of another network.
        engine: ``"auto"`` (the fastest installed), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        precision: ``"float32"``; ``"bfloat16"``; ``"auto"`` takes bfloat16 for 8-bit values where the device computes
            in it natively, and float32 otherwise.
        device: ``"cpu"``, ``"cuda"``, ...; None takes a GPU if there is one.
        tile_size: side of a tile in pixels; None tiles only images that do not fit ``memory``. The result does not
            depend on it by more than about 1e-6.
        memory: working memory in bytes, beyond the images themselves.
        strength: 0 returns the input, 1 the denoised image, values between a blend.
        modality: of all images, one of :data:`~noisewise.data_manifest.modalities.MODALITIES`; None takes
            the modality that each file states.
        intensity_range: real values ``(low, high)`` that stand for black and white; None finds them, see
            :mod:`~noisewise.pipelines.denoising.mapping`.
        slice_axis: axis (0, 1 or 2) along which volumes are cut; None chooses it by their spacing.
        noise_map: whether to write the removed noise beside each result.
        audit: whether to check the removed noise for structure.

    Raises:
        ValueError: if a setting is out of range or there is no such modality.
        EngineError: if there is no such engine or precision.
    """

    model: str | os.PathLike = AUTO
    config: str | os.PathLike | None = None
    engine: str = "auto"
    precision: str = "auto"
    device: str | torch.device | None = None
    tile_size: int | None = None
    memory: int = DEFAULT_MEMORY
    strength: float = 1.0
    modality: str | None = None
    intensity_range: tuple[float, float] | None = None
    slice_axis: int | None = None
    noise_map: bool = False
    audit: bool = False

    def __post_init__(self) -> None:
        for name, convert in (("model", os.fspath), ("config", os.fspath), ("device", str)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, convert(getattr(self, name)))
        check_known("engine", self.engine, ENGINES, EngineError)
        check_known("precision", self.precision, PRECISIONS, EngineError)
        if self.modality is not None:
            check_known("modality", self.modality.lower(), MODALITIES)
        if self.tile_size is not None and self.tile_size < 1:
            raise ValueError(f"tile_size must be at least 1, got {self.tile_size}.")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}.")
        if self.intensity_range is not None:
            object.__setattr__(self, "intensity_range", check_range(self.intensity_range))
        if self.slice_axis not in (None, 0, 1, 2):
            raise ValueError(f"slice_axis must be 0, 1, 2 or None, got {self.slice_axis!r}.")
        if self.device is not None:
            _check_device_name(str(self.device))

    def for_denoiser(self, model: str | None = None) -> DenoisingSettings:
        """The settings that a loaded denoiser depends on; all others have their defaults.

        Args:
            model: replaces :attr:`model`; None keeps it.

        Returns:
            Equal settings for all images that the same denoiser serves.
        """
        kept = DenoisingSettings(**self.denoiser_arguments())
        return kept if model is None else replace(kept, model=model)

    def denoiser_arguments(self) -> dict[str, Any]:
        """The arguments of :class:`~noisewise.pipelines.denoising.Denoiser`, by name."""
        return {name: getattr(self, name) for name in DENOISER_FIELDS}

    def check_device(self) -> None:
        """Check that this computer has the device.

        Raises:
            EngineError: if it is a GPU that this computer does not have.
        """
        if self.device is None:
            return
        import torch

        device = torch.device(self.device)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise EngineError(f"there is no device {self.device!r} here. Leave it out to take the best one there is.")


def _check_device_name(device: str) -> None:
    # Importing PyTorch takes seconds, and few runs state a device.
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"there is no device {device!r}.") from error


__getattr__ = renamed(__name__, DenoisingOptions="DenoisingSettings")
