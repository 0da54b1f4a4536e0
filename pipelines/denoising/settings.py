# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How files are denoised: the choices of one run, and the denoisers that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..engines.base import EngineError
from .denoiser import DEFAULT_MEMORY, Denoiser
from .function import cached_denoiser
from .models import AUTO, choose_model

__all__ = ["DenoisingOptions"]


@dataclass(frozen=True)
class DenoisingOptions:
    """The choices of one run; they can be sent to another process.

    Args:
        model: a bundle's name, a bundle's folder, a weights file, or ``"auto"``, see
            :func:`~noisewise.pipelines.denoising.models.choose_model`.
        config: file with the ``network_def``, for a weights file of another network.
        engine: see :class:`~noisewise.pipelines.denoising.Denoiser`, like ``precision`` and ``device``.
        precision: ``"float32"``, ``"bfloat16"`` or ``"auto"``.
        device: ``"cpu"``, ``"cuda"``, ...; a GPU where there is one when None.
        strength: 0 gives the input back, 1 the denoised image, anything between a blend.
        tile_size: side of a tile in pixels; None tiles only what does not fit ``memory``.
        memory: working memory in bytes, beyond the images themselves.
        modality: of all images, such as ``"ct"``; what the files say when None.
        intensity_range: real values that stand for black and white; by the manifest's rule when None.
        slice_axis: along which volumes are cut; by their spacing when None.
        noise_map: whether what was removed is written beside each result.
        audit: whether what was removed is checked for structure.
    """

    model: str = AUTO
    config: str | None = None
    engine: str = "auto"
    precision: str = "auto"
    device: str | None = None
    strength: float = 1.0
    tile_size: int | None = None
    memory: int = DEFAULT_MEMORY
    modality: str | None = None
    intensity_range: tuple[float, float] | None = None
    slice_axis: int | None = None
    noise_map: bool = False
    audit: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}.")
        if self.intensity_range is not None and not self.intensity_range[0] < self.intensity_range[1]:
            raise ValueError("the intensity range {:g} {:g} is empty.".format(*self.intensity_range))
        if self.device is not None:
            try:
                torch.device(self.device)
            except RuntimeError as error:
                raise ValueError(f"there is no device {self.device!r}.") from error

    def denoiser(self, modality: str | None = None) -> Denoiser:
        """The denoiser for images of a modality, each made once in a process.

        Args:
            modality: what the file says; :attr:`modality` goes before it.

        Raises:
            ValueError: when an option is out of range, or the model cannot be loaded.
            FileNotFoundError: when there is no such model.
        """
        model = choose_model(self.model, self.modality or modality)
        return cached_denoiser(
            model, self.engine, self.precision, self.device, self.tile_size, self.memory, self.config
        )

    def check_device(self) -> None:
        """Refuse a GPU that this computer does not have.

        Raises:
            EngineError: that names it.
        """
        device = torch.device(self.device or "cpu")
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise EngineError(f"there is no device {self.device!r} here.")

    def describe(self, modality: str | None = None, eight_bit: bool = False) -> str:
        """The model for images of a modality, and what runs it, in a few words.

        Args:
            modality: as for :meth:`denoiser`.
            eight_bit: whether the stored values are 8-bit grey levels.
        """
        denoiser = self.denoiser(modality)
        model, engine = denoiser.model, denoiser.engine(eight_bit)
        return f"{model.name}, weights {model.digest[:12]}; {engine.name}, {engine.precision} on {denoiser.device}"

    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON knows it: results of other settings are not gone on with.

        Tiles and engines change results by less than 1e-4 of the range and do not count.

        Raises:
            ValueError: when a model cannot be loaded.
            FileNotFoundError: when there is no such model.
        """
        models = [self.denoiser(modality).model for modality in (None, "ct")]
        return {
            "weights": {model.name: model.digest for model in models},
            "strength": self.strength,
            "precision": self.precision,
            "modality": self.modality,
            "intensity_range": None if self.intensity_range is None else list(self.intensity_range),
            "slice_axis": self.slice_axis,
        }
