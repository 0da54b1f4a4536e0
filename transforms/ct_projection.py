# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Parallel-beam tomography in PyTorch: line integrals, reconstruction kernels, filtered back-projection.

A spiral scanner's fan-beam data are rebinned to parallel views before they are reconstructed (K. Stierstorfer et al.,
"Weighted FBP", Phys. Med. Biol. 49:2209, 2004), so this is the geometry in which image noise gets its texture. No
library fits the purpose: ASTRA and tomosipo are under the GPL, torch-radon and LEAP need CUDA or a build from source,
deepinv and scikit-image have no reconstruction kernels and cannot reconstruct a small part of an image alone, which
makes noise for training patches cheap. The tests compare this module with scikit-image. It runs on the device of its
tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

__all__ = ["KERNELS", "ParallelBeam", "ReconstructionKernel"]

# The number of values interpolated at a time, which bounds the memory of a back-projection.
LARGEST_CHUNK = 2**22


@dataclass(frozen=True)
class ReconstructionKernel:
    """The factor of a reconstruction's ramp filter, as a function of the spatial frequency f.

    ``A(f) = (1 + boost * x**2) * exp(-x**order)`` with ``x = f / cutoff``.

    Attributes:
        cutoff: in cycles per mm.
        order: how steeply it falls off.
        boost: how much it raises the frequencies below the cutoff.
    """

    cutoff: float
    order: float = 2.0
    boost: float = 0.0

    def __post_init__(self) -> None:
        if not (self.cutoff > 0 and self.order > 0 and self.boost >= 0):
            raise ValueError(f"a kernel needs cutoff > 0, order > 0 and boost >= 0, got {self}.")

    def response(self, frequency: torch.Tensor) -> torch.Tensor:
        """Args: frequency: in cycles per mm. Returns: ``A(f)``, 1 at 0."""
        x = frequency.abs() / self.cutoff
        return (1 + self.boost * x**2) * torch.exp(-(x**self.order))


# Fitted to the noise power spectra of real pairs: docs/low_dose_ct.md.
KERNELS = {
    "soft": ReconstructionKernel(cutoff=0.371, order=1.8, boost=0.76),  # Siemens B30f
    "sharp": ReconstructionKernel(cutoff=0.954, order=1.0, boost=4.2),  # Siemens D45f
}


@dataclass(frozen=True)
class ParallelBeam:
    """Parallel-beam geometry around the middle of a square image.

    Attributes:
        size: rows and columns of the image.
        pixel_mm: side of a pixel.
        views: directions, evenly over half a turn.
        bins: detector bins; 0 takes as many as the image's diagonal needs.
        bin_mm: width of a detector bin; 0 takes a pixel's side.
    """

    size: int
    pixel_mm: float
    views: int = 720
    bins: int = 0
    bin_mm: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 2 or self.views < 1 or not self.pixel_mm > 0 or self.bins < 0 or self.bin_mm < 0:
            raise ValueError(f"size, views and pixel_mm must be positive and bins not negative, got {self}.")
        if not self.bin_mm:
            object.__setattr__(self, "bin_mm", self.pixel_mm)
        if not self.bins:
            diagonal = self.size * self.pixel_mm * math.sqrt(2)
            object.__setattr__(self, "bins", 2 * math.ceil(diagonal / self.bin_mm / 2) + 1)

    def angles(self, device: torch.device | None = None) -> torch.Tensor:
        """The directions of the views in radians, ``(views,)``."""
        return torch.arange(self.views, device=device) * (math.pi / self.views)

    def project(self, image: torch.Tensor) -> torch.Tensor:
        """Line integrals.

        Args:
            image: attenuation per mm, ``(size, size)``.

        Returns:
            ``(views, bins)``, without a unit.
        """
        steps = torch.arange(self.bins, device=image.device, dtype=image.dtype) - (self.bins - 1) / 2
        offset = steps * self.bin_mm  # across the ray; the samples along it have the same positions
        half = self.size * self.pixel_mm / 2
        views = []
        for angle in self.angles(image.device).to(image.dtype):
            cos, sin = torch.cos(angle), torch.sin(angle)
            x = offset[None, :] * cos - offset[:, None] * sin
            y = offset[None, :] * sin + offset[:, None] * cos
            grid = torch.stack([x / half, y / half], -1)[None]
            sampled = functional.grid_sample(image[None, None], grid, align_corners=False)
            views.append(sampled[0, 0].sum(0) * self.bin_mm)
        return torch.stack(views)

    def filter(self, sinogram: torch.Tensor, kernel: ReconstructionKernel) -> torch.Tensor:
        """Multiply each view's spectrum by the ramp and by the kernel.

        Args:
            sinogram: ``(..., views, bins)``.
            kernel: the reconstruction kernel.

        Returns:
            The same shape, per mm.
        """
        length = 2 ** math.ceil(math.log2(2 * self.bins))
        response = self._ramp(length, sinogram) * kernel.response(
            torch.fft.rfftfreq(length, self.bin_mm, device=sinogram.device, dtype=sinogram.dtype)
        )
        spectrum = torch.fft.rfft(sinogram, length) * response
        return torch.fft.irfft(spectrum, length)[..., : self.bins]

    def back_project(self, filtered: torch.Tensor, rows: slice = slice(None), columns: slice = slice(None)):
        """Back-project filtered views onto an image or onto a part of it.

        Args:
            filtered: ``(views, bins)``, from :meth:`filter`.
            rows: rows of the part.
            columns: columns of the part.

        Returns:
            That part of the image, in the unit of the attenuation per mm.
        """
        middle = (self.size - 1) / 2
        position = (torch.arange(self.size, device=filtered.device, dtype=filtered.dtype) - middle) * self.pixel_mm
        y, x = torch.meshgrid(position[rows], position[columns], indexing="ij")
        x, y = x.reshape(1, -1), y.reshape(1, -1)
        total = torch.zeros_like(x)
        step = max(1, LARGEST_CHUNK // x.numel())
        for angles, views in zip(self.angles(filtered.device).to(x.dtype).split(step), filtered.split(step)):
            t = x * torch.cos(angles)[:, None] + y * torch.sin(angles)[:, None]
            t = (t / self.bin_mm + (self.bins - 1) / 2).clamp_(0, self.bins - 1.001)
            lower = t.long()
            weight = t.sub_(lower)
            below, above = views.gather(1, lower), views.gather(1, lower.add_(1))
            total += torch.lerp(below, above, weight).sum(0, keepdim=True)
        height = len(range(*rows.indices(self.size)))
        return (total * (math.pi / self.views)).reshape(height, -1)

    def reconstruct(
        self,
        sinogram: torch.Tensor,
        kernel: ReconstructionKernel,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> torch.Tensor:
        """Filtered back-projection: :meth:`filter`, then :meth:`back_project`."""
        return self.back_project(self.filter(sinogram, kernel), rows, columns)

    def _ramp(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """The ramp as the spectrum of its band-limited impulse response, which keeps the mean right (Kak, Slaney)."""
        n = torch.arange(length, device=like.device)
        n = torch.minimum(n, length - n).to(like.dtype)
        response = torch.where(n % 2 == 1, -1 / (math.pi * n.clamp(min=1) * self.bin_mm) ** 2, torch.zeros_like(n))
        response[0] = 1 / (4 * self.bin_mm**2)
        return torch.fft.rfft(response).real * self.bin_mm
