# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Applying a denoiser to images: gray or color, 2-D or volumes, inside or outside the expected range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

from ...transforms.intensity_outside import limit_outside

__all__ = ["DenoisingInferer"]


class DenoisingInferer(Inferer):
    """Applies a 2-D denoiser to batches of images or volumes.

    Args:
        channels: number of channels of the network. An image with one channel is repeated to this number, and the
            outputs are averaged.
        pass_through: keep what lies far outside [0, 1], such as metal or padding, from the network and pass it
            through, ``out = in - (v - D(v))`` with ``v = limit_outside(in)``, see
            :func:`~noisewise.transforms.limit_outside`. Meant for real images, as the command does it; noise outside
            is removed with and without it.
        slices_per_batch: volumes ``(B, C, H, W, D)`` are denoised slice by slice along the last axis, this many slices
            at a time.
        channels_last: run the network in ``torch.channels_last``, several times faster on CPUs.
        transpose: images have axes x, y, as everywhere in MONAI, and the network gets rows and columns, as it does from
            files. Networks tell the two apart a little.
        amp_dtype: ``"bfloat16"`` or ``"float16"`` autocasts the network on the input's device; None keeps float32.

    Raises:
        ValueError: on a call, when the images have neither 1 nor ``channels`` channels or are not 2-D or 3-D.
    """

    def __init__(
        self,
        channels: int = 3,
        pass_through: bool = False,
        slices_per_batch: int = 4,
        channels_last: bool = True,
        amp_dtype: str | None = None,
        transpose: bool = False,
    ) -> None:
        super().__init__()
        if slices_per_batch < 1:
            raise ValueError(f"slices_per_batch must be at least 1, got {slices_per_batch}.")
        if amp_dtype not in (None, "bfloat16", "float16"):
            raise ValueError(f"amp_dtype must be None, 'bfloat16' or 'float16', got {amp_dtype!r}.")
        self.channels = channels
        self.pass_through = pass_through
        self.slices_per_batch = slices_per_batch
        self.channels_last = channels_last
        self.amp_dtype = amp_dtype
        self.transpose = transpose

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Denoise.

        Args:
            inputs: ``(B, C, H, W)`` or ``(B, C, H, W, D)`` with C of 1 or ``channels``, about [0, 1].
            network: maps ``(B, channels, H, W)`` to a tensor of that shape, or to a tuple of such tensors (as
                ``TwoStageDenoiser.stages`` does: the denoised image first).
            args: passed to the network.
            kwargs: passed to the network.

        Returns:
            The network's output, each tensor in the shape and dtype of ``inputs``. In a tuple, the pass-through rule
            applies to the first tensor only.
        """
        if inputs.ndim == 4:
            return self._denoise(inputs, network, *args, **kwargs)
        if inputs.ndim != 5:
            raise ValueError(f"expected (B, C, H, W) or (B, C, H, W, D), got shape {tuple(inputs.shape)}.")
        batch, _, _, _, depth = inputs.shape
        slices = inputs.movedim(-1, 1).flatten(0, 1)
        chunks = [self._denoise(chunk, network, *args, **kwargs) for chunk in slices.split(self.slices_per_batch)]

        def join(parts: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat(parts).unflatten(0, (batch, depth)).movedim(1, -1)

        if isinstance(chunks[0], tuple):
            return tuple(join(list(parts)) for parts in zip(*chunks))
        return join(chunks)

    def _denoise(self, images: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        count = images.shape[1]
        if count not in (1, self.channels):
            raise ValueError(f"expected 1 or {self.channels} channels, got {count}.")
        seen = limit_outside(images) if self.pass_through else images
        x = (seen.mT if self.transpose else seen).expand(-1, self.channels, -1, -1)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        dtype = getattr(torch, self.amp_dtype) if self.amp_dtype else torch.bfloat16
        with torch.autocast(images.device.type, dtype, enabled=self.amp_dtype is not None):
            result = network(x, *args, **kwargs)
        outputs = result if isinstance(result, tuple) else (result,)
        if self.transpose:
            outputs = tuple(out.mT for out in outputs)
        outputs = tuple(
            (out.mean(1, keepdim=True) if count == 1 and out.shape[1] > 1 else out).to(images.dtype) for out in outputs
        )
        if self.pass_through:
            outputs = (images - (seen - outputs[0]), *outputs[1:])
        return outputs if isinstance(result, tuple) else outputs[0]
