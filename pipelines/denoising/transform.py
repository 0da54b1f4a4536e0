# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``Denoised``: denoising as one line of a MONAI pipeline."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from .arrays import denoise_array
from .metadata import channel_axis
from .settings import DEFAULT_MEMORY, DEFAULT_MODEL, DenoisingSettings

__all__ = ["Denoise", "DenoiseD", "DenoiseDict", "Denoised"]


class Denoise(Transform):
    """Denoise a channel-first image or volume; affine and metadata of a MetaTensor are kept.

    Volumes are denoised slice by slice. As everywhere in MONAI, the first spatial axis is x. Slices are transposed so
    that y runs down their rows, as in files, since a network may tell rows from columns: the result equals that of
    ``noisewise denoise`` on the file. The weights are loaded once in a process, on the first call.

    Args:
        model: a bundle's name, a bundle's folder or a weights file.
        intensity_range: the values ``(low, high)`` that stand for black and white. By default the metadata of the
            reader decide if they state 8 bits or CT; then the values do, see :func:`noisewise.denoise`. Floats about
            [0, 1] stay as they are, so that the transform can follow ``ScaleIntensityRange(b_min=0, b_max=1)``.
        strength: 0 returns the input, 1 the denoised image, values between a blend.
        slice_axis: spatial axis (0, 1 or 2) along which a volume is cut into slices. None takes the axis with the
            largest spacing by a MetaTensor's affine, and the last axis for other arrays or if all spacings are equal.
        color: whether three channels are colors; other channels are denoised one by one, as gray images.
        engine: see :func:`noisewise.denoise`, as for the following arguments.
        precision: ``"float32"``, ``"bfloat16"`` or ``"auto"``.
        device: None takes the image's own device, and for arrays a GPU if there is one.
        tile_size: side of a tile in pixels, or None.
        memory: working memory in bytes.
    """

    backend: ClassVar = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(
        self,
        model: str | os.PathLike = DEFAULT_MODEL,
        intensity_range: tuple[float, float] | None = None,
        strength: float = 1.0,
        slice_axis: int | None = None,
        color: bool = True,
        engine: str = "auto",
        precision: str = "auto",
        device: str | torch.device | None = None,
        tile_size: int | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        # Settings alone, not the denoiser, so that a pipeline with this transform can be pickled for worker processes.
        self.settings = DenoisingSettings(
            model=model,
            engine=engine,
            precision=precision,
            device=device,
            tile_size=tile_size,
            memory=memory,
            strength=strength,
            intensity_range=intensity_range,
            slice_axis=slice_axis,
        )
        self.color = color

    @classmethod
    def from_settings(cls, settings: DenoisingSettings, color: bool = True) -> Denoise:
        """Make the transform from settings.

        Args:
            settings: how to denoise; their modality, noise map and audit are not used.
            color: whether three channels are colors.
        """
        transform = cls(color=color)
        transform.settings = settings
        return transform

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Denoise.

        Args:
            img: ``(C, X, Y)`` or ``(C, X, Y, Z)``. The channel axis of a MetaTensor may also be last or missing, as
                MONAI's readers leave it, if the metadata say so.

        Returns:
            The denoised image, with the type, dtype, shape, device and metadata of ``img``.

        Raises:
            ValueError: if ``img`` has another shape, or see :func:`noisewise.denoise`.
        """
        channels = channel_axis(img) if isinstance(img, MetaTensor) else 0
        if channels is None:
            return self._denoise(img[None])[0]
        if channels == -1:
            return self._denoise(img.movedim(-1, 0)).movedim(0, -1).contiguous()
        return self._denoise(img)

    def _denoise(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        if img.ndim not in (3, 4):
            raise ValueError(
                f"expected (C, X, Y) or (C, X, Y, Z), got shape {tuple(img.shape)}; EnsureChannelFirst adds the "
                "channel axis."
            )
        values = img.as_tensor() if isinstance(img, MetaTensor) else img
        is_color = self.color and img.shape[0] == 3
        volume = values if img.ndim == 4 else values[..., None]
        axis = 1 + (2 if img.ndim == 3 else self._axis(img))
        # To slices, rows, columns, channels; gray channels become slices too.
        moved = np.moveaxis(volume, axis, 1) if isinstance(volume, np.ndarray) else volume.movedim(axis, 1)
        moved = moved.swapaxes(2, 3)
        if is_color:
            slices = np.moveaxis(moved, 0, -1) if isinstance(moved, np.ndarray) else moved.movedim(0, -1)
        else:
            slices = moved.reshape(-1, *moved.shape[2:])
        result = denoise_array(slices, self.settings, is_color, getattr(img, "meta", None))
        if is_color:
            result = np.moveaxis(result, -1, 0) if isinstance(result, np.ndarray) else result.movedim(-1, 0)
        result = result.reshape(moved.shape).swapaxes(2, 3)
        result = np.moveaxis(result, 1, axis) if isinstance(result, np.ndarray) else result.movedim(1, axis)
        result = result.reshape(tuple(img.shape))
        if isinstance(img, MetaTensor):
            return MetaTensor(result.contiguous()).copy_meta_from(img)
        return np.ascontiguousarray(result) if isinstance(result, np.ndarray) else result.contiguous()

    def _axis(self, img: NdarrayOrTensor) -> int:
        if self.settings.slice_axis is not None:
            return self.settings.slice_axis
        if not isinstance(img, MetaTensor):
            return 2
        spacing = np.asarray(img.pixdim, np.float64)[:3]
        return 2 if np.allclose(spacing, spacing[2], rtol=1e-3) else int(np.argmax(spacing))


class Denoised(MapTransform):
    """Dictionary version of :class:`Denoise`.

    Args:
        keys: channel-first images or volumes.
        allow_missing_keys: don't raise when a key is missing.
        options: arguments of :class:`Denoise`.

    Example:
        >>> from monai.transforms import Compose, LoadImaged, ScaleIntensityRanged
        >>> pipeline = Compose([
        ...     LoadImaged("image", ensure_channel_first=True),
        ...     Denoised("image", intensity_range=(-1000, 1000)),
        ... ])
    """

    backend: ClassVar = Denoise.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **options: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.denoise = Denoise(**options)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Denoise the image under each key. Returns: a copy of ``data`` with the denoised images."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.denoise(d[key])
        return d


DenoiseD = DenoiseDict = Denoised
