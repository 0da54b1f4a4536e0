# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Low-dose CT from normal-dose CT: the noise of fewer photons, made in the projections, as MONAI array transforms.

The image is projected; a photon count is drawn for each ray; the deviation of the counts' logarithm is reconstructed
with a kernel and added to the image. The noise then has the texture of a scanner's, grows where the body is thick and
runs along its long axis. The image itself is not reconstructed again, so it keeps its sharpness.

After L. Yu et al., "Development and validation of a practical lower-dose-simulation tool for optimizing computed
tomography scan protocols", J. Comput. Assist. Tomogr. 36:477, 2012. Deviations: a parallel beam instead of the
scanner's geometry, no bow-tie filter, one slice at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from monai.config import NdarrayOrTensor
from monai.transforms import RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from .ct_projection import KERNELS, ParallelBeam, ReconstructionKernel
from .noise_models import MAX_SEED, check_choice

__all__ = [
    "AIR_HU",
    "PHOTONS_PER_MA",
    "LowDoseCT",
    "LowDoseRecord",
    "RandLowDoseCT",
    "line_integrals",
    "low_dose_noise",
]

WATER_PER_MM = 0.0192  # attenuation of water at the effective energy of 120 kV, about 70 keV (NIST XCOM)
AIR_HU = -1024.0  # the lowest value that scanners store
# Unattenuated photons per mm of detector, all views together, per mA of tube current: 3 mm slices of a Siemens
# Definition, fitted to real pairs (docs/low_dose_ct.md).
PHOTONS_PER_MA = 1.14e6
VIEWS = 480
# Attenuation varies slowly along the detector, so a coarse projection will do: only the noise needs fine bins.
COARSE_SIDE, COARSE_VIEWS = 128, 96


@dataclass(frozen=True)
class LowDoseRecord:
    """One draw: with the image it gives the same low-dose image to the bit.

    Attributes:
        dose: the fraction of the normal dose, in (0, 1).
        photons: unattenuated photons per mm of detector at normal dose, summed over all views; a tube current in mA
            times :data:`PHOTONS_PER_MA`.
        kernel: a name in :data:`~noisewise.transforms.KERNELS`.
        scale: multiplies the kernel's frequencies: scanners' kernels differ.
        seed: seed of the draw.
    """

    dose: float
    photons: float
    kernel: str
    scale: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.dose < 1:
            raise ValueError(f"dose is a fraction of the normal dose between 0 and 1, got {self.dose}.")
        if not (self.photons > 0 and self.scale > 0):
            raise ValueError(f"photons and scale must be positive, got {self.photons} and {self.scale}.")
        check_choice("kernel", self.kernel, KERNELS)

    def as_dict(self) -> dict[str, Any]:
        """The draw as a dictionary, for :class:`LowDoseCT` and for storing."""
        return asdict(self)

    @property
    def reconstruction_kernel(self) -> ReconstructionKernel:
        """The kernel, its frequencies scaled."""
        kernel = KERNELS[self.kernel]
        return ReconstructionKernel(kernel.cutoff * self.scale, kernel.order, kernel.boost)


def line_integrals(image: torch.Tensor, pixel_mm: float) -> torch.Tensor:
    """Project an image coarsely: all that a simulation needs of it, and small enough to be cached.

    Args:
        image: ``(H, W)`` in HU. An image that is not square is padded with air on both sides.
        pixel_mm: side of a pixel.

    Returns:
        Line integrals of the attenuation, float32 ``(views, bins)``.

    Raises:
        ValueError: when the image is not 2-D or its values cannot be HU.
    """
    if image.ndim != 2:
        raise ValueError(f"expected one slice (H, W), got shape {tuple(image.shape)}.")
    if not bool(torch.isfinite(image).all()) or float(image.min()) >= 0:
        raise ValueError("the values are not Hounsfield units: none is below 0, or some are not finite.")
    side = max(image.shape)
    attenuation = (WATER_PER_MM * (1 + image.float() / 1000)).clamp(min=0)
    square = attenuation.new_zeros(side, side)
    top, left = ((side - extent) // 2 for extent in image.shape)
    square[top : top + image.shape[0], left : left + image.shape[1]] = attenuation
    coarse = min(COARSE_SIDE, side)
    small = torch.nn.functional.interpolate(square[None, None], (coarse, coarse), mode="area")[0, 0]
    return ParallelBeam(coarse, pixel_mm * side / coarse, COARSE_VIEWS).project(small)


def low_dose_noise(
    integrals: torch.Tensor,
    shape: Sequence[int],
    record: LowDoseRecord,
    pixel_mm: float,
    rows: slice = slice(None),
    columns: slice = slice(None),
    electronic: float = 0.0,
    modulation: float = 0.0,
) -> torch.Tensor:
    """The noise that a lower dose adds to an image, or to a part of it.

    Lowering the dose from N to ``a N`` photons adds the variance ``(1 - a) / (a N)`` to a ray's line integral: that of
    ``N a / (1 - a)`` photons, which are drawn from a Poisson distribution.

    Args:
        integrals: line integrals from :func:`line_integrals`.
        shape: ``(H, W)`` of the image.
        record: the draw.
        pixel_mm: side of a pixel.
        rows: rows of the part.
        columns: columns of the part.
        electronic: standard deviation of the electronics' noise, in photons of one reading (one bin of one view).
        modulation: how strongly the tube current follows the attenuation of each view: it is proportional to
            ``exp(modulation * largest line integral)``; 0 is a constant current, 0.5 gives the least noise.

    Returns:
        Noise in HU, the shape of the part.
    """
    height, width = shape
    side = max(height, width)
    beam = ParallelBeam(side, pixel_mm, VIEWS)
    attenuation = _fine(integrals, beam)
    current = torch.exp(modulation * attenuation.amax(1, keepdim=True))
    photons = record.photons * beam.bin_mm / beam.views * current / current.mean()
    factor = record.dose / (1 - record.dose)
    expected = photons * factor * torch.exp(-attenuation)
    generator = torch.Generator(device=attenuation.device).manual_seed(record.seed)
    counts = torch.poisson(expected, generator)
    if electronic:
        spread = electronic * math.sqrt((1 + record.dose) / (1 - record.dose))
        counts += spread * torch.randn(counts.shape, generator=generator, device=counts.device)
    # The logarithm of zero photons does not exist; scanners use a small count in its place.
    deviation = torch.log(expected) - torch.log(counts.clamp(min=0.5))
    top, left = (side - height) // 2, (side - width) // 2
    part = beam.reconstruct(
        deviation, record.reconstruction_kernel, _shifted(rows, top, height), _shifted(columns, left, width)
    )
    return part * (1000 / WATER_PER_MM)


class LowDoseCT(Transform):
    """Lower the dose of a CT slice: replays a recorded draw to the bit.

    Args:
        dose: the fraction of the normal dose, in (0, 1).
        photons: unattenuated photons per mm of detector at normal dose, all views together: the tube current in mA
            times :data:`PHOTONS_PER_MA` (for 3 mm slices; proportional to their thickness).
        kernel: ``"soft"`` or ``"sharp"``.
        scale: multiplies the kernel's frequencies.
        seed: seed of the draw.
        pixel_mm: side of a pixel.
        electronic: see :func:`low_dose_noise`.
        modulation: see :func:`low_dose_noise`.
        lowest: lower values are raised to this, as scanners do; None does not clip.

    Raises:
        ValueError: when an argument is out of range; on a call, when the image is not one slice in HU.

    Example:
        >>> import torch
        >>> slice_hu = torch.full((1, 64, 64), -1000.0)
        >>> slice_hu[:, 16:48, 16:48] = 40
        >>> LowDoseCT(dose=0.25, seed=3)(slice_hu).shape
        torch.Size([1, 64, 64])
    """

    def __init__(
        self,
        dose: float = 0.25,
        photons: float = 300 * PHOTONS_PER_MA,
        kernel: str = "soft",
        scale: float = 1.0,
        seed: int = 0,
        pixel_mm: float = 0.7,
        electronic: float = 5.0,
        modulation: float = 0.5,
        lowest: float | None = AIR_HU,
    ) -> None:
        self.record = LowDoseRecord(float(dose), float(photons), kernel, float(scale), int(seed))
        if not pixel_mm > 0 or electronic < 0 or modulation < 0:
            raise ValueError(
                "pixel_mm must be positive, electronic and modulation not negative, got "
                f"{pixel_mm}, {electronic} and {modulation}."
            )
        self.pixel_mm, self.electronic, self.modulation, self.lowest = pixel_mm, electronic, modulation, lowest

    def noise(
        self,
        integrals: torch.Tensor,
        shape: Sequence[int],
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> torch.Tensor:
        """The added noise in HU of an image or a part of it; arguments as for :func:`low_dose_noise`."""
        return low_dose_noise(
            integrals, shape, self.record, self.pixel_mm, rows, columns, self.electronic, self.modulation
        )

    def __call__(self, img: NdarrayOrTensor, integrals: torch.Tensor | None = None) -> NdarrayOrTensor:
        """Lower the dose.

        Args:
            img: ``(1, H, W)`` in HU.
            integrals: the image's line integrals, if known; otherwise it is projected.

        Returns:
            The low-dose image, in the type, shape and dtype of ``img``; integers are rounded.
        """
        values = one_slice(img)
        if integrals is None:
            integrals = line_integrals(values, self.pixel_mm)
        noisy = values + self.noise(integrals, values.shape)
        return _like_input(noisy, img, self.lowest)


class RandLowDoseCT(RandomizableTransform):
    """Random low-dose noise for training: dose, exposure, kernel and seed are drawn for each image.

    All draws go through ``self.R``. After a call :attr:`record` holds them; :class:`LowDoseCT` replays it.

    Args:
        dose_range: fractions of the normal dose, uniform.
        photons_range: see :class:`LowDoseCT`; uniform in the logarithm.
        kernels: names to choose from with equal probability.
        scale_range: factors of the kernel's frequencies, uniform.
        pixel_mm: side of a pixel.
        electronic: see :func:`low_dose_noise`.
        modulation: see :func:`low_dose_noise`.
        lowest: lower values are raised to this; None does not clip.
        prob: probability of changing an image.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        dose_range: Sequence[float] = (0.25, 0.25),
        photons_range: Sequence[float] = (100 * PHOTONS_PER_MA, 600 * PHOTONS_PER_MA),
        kernels: Sequence[str] = ("soft", "sharp"),
        scale_range: Sequence[float] = (0.8, 1.2),
        pixel_mm: float = 0.7,
        electronic: float = 5.0,
        modulation: float = 0.5,
        lowest: float | None = AIR_HU,
        prob: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        if not kernels:
            raise ValueError("kernels must name at least one reconstruction kernel.")
        for kernel in kernels:
            check_choice("kernel", kernel, KERNELS)
        self.dose_range = _interval("dose_range", dose_range, upper=1.0)
        self.photons_range = _interval("photons_range", photons_range)
        self.scale_range = _interval("scale_range", scale_range)
        self.kernels = tuple(kernels)
        self.settings = {"pixel_mm": pixel_mm, "electronic": electronic, "modulation": modulation, "lowest": lowest}
        self.record = LowDoseRecord(self.dose_range[0], self.photons_range[0], self.kernels[0], 1.0, 0)
        self.replay = LowDoseCT(**self.record.as_dict(), **self.settings)

    def randomize(self, data: Any = None) -> None:
        """Draw; always the same number of draws, so that streams stay aligned."""
        super().randomize(None)
        dose = self.R.uniform(*self.dose_range)
        photons = math.exp(self.R.uniform(*(math.log(value) for value in self.photons_range)))
        kernel = self.kernels[self.R.randint(len(self.kernels))]
        scale = self.R.uniform(*self.scale_range)
        seed = int(self.R.randint(MAX_SEED, dtype="uint32"))
        self.record = LowDoseRecord(float(dose), float(photons), kernel, float(scale), seed)
        self.replay = LowDoseCT(**self.record.as_dict(), **self.settings)

    def __call__(
        self, img: NdarrayOrTensor, integrals: torch.Tensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Lower the dose.

        Args:
            img: ``(1, H, W)`` in HU.
            integrals: the image's line integrals, if known.
            randomize: False uses the last draw again.

        Returns:
            The low-dose image, in the type, shape and dtype of ``img``.
        """
        if randomize:
            self.randomize()
        return self.replay(img, integrals) if self._do_transform else img


@lru_cache(maxsize=8)
def _fine_grid(views: int, bins: int, bin_mm: float, coarse_bins: int, coarse_bin_mm: float) -> torch.Tensor:
    """Where the fine sinogram's readings lie in the coarse one, for ``grid_sample``."""
    offset = (torch.arange(bins) - (bins - 1) / 2) * bin_mm
    x = offset / (coarse_bins * coarse_bin_mm / 2)
    y = torch.arange(views) / views
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)


def _fine(integrals: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Interpolate a coarse sinogram to the bins and views of ``beam``."""
    views, bins = integrals.shape
    coarse_side = min(COARSE_SIDE, beam.size)
    coarse = ParallelBeam(coarse_side, beam.pixel_mm * beam.size / coarse_side, views)
    if coarse.bins != bins:
        raise ValueError(f"the line integrals have {bins} bins; those of this image have {coarse.bins}.")
    # After half a turn the same rays are seen from the other end.
    closed = torch.cat([integrals, integrals[:1].flip(1)])
    grid = _fine_grid(beam.views, beam.bins, beam.bin_mm, bins, coarse.bin_mm).to(integrals)
    # Along the views, the corners of grid_sample are the first view and the closing one.
    rows = (grid[..., 1] * views + 0.5) / (views + 1) * 2 - 1
    grid = torch.stack([grid[..., 0], rows], -1)[None]
    return torch.nn.functional.grid_sample(closed[None, None], grid, padding_mode="border", align_corners=False)[0, 0]


def _shifted(part: slice, offset: int, extent: int) -> slice:
    start, stop, _ = part.indices(extent)
    return slice(start + offset, stop + offset)


def one_slice(img: NdarrayOrTensor) -> torch.Tensor:
    """The slice ``(H, W)`` in float32 of an image ``(1, H, W)``. Raises: ValueError: when it has another shape."""
    values = torch.as_tensor(convert_to_tensor(img, track_meta=True)).as_subclass(torch.Tensor)
    if values.ndim != 3 or values.shape[0] != 1:
        raise ValueError(f"expected one CT slice (1, H, W) in HU, got shape {tuple(values.shape)}.")
    return values[0].float()


def _like_input(noisy: torch.Tensor, img: NdarrayOrTensor, lowest: float | None) -> NdarrayOrTensor:
    if lowest is not None:
        noisy = noisy.clamp(min=lowest)
    dtype = convert_to_tensor(img).dtype
    if not dtype.is_floating_point:
        noisy = noisy.round()
    return convert_to_dst_type(noisy[None], dst=img, dtype=img.dtype)[0]


def _interval(name: str, values: Sequence[float], upper: float = math.inf) -> tuple[float, float]:
    low, high = (float(value) for value in values)
    if not 0 < low <= high < upper:
        raise ValueError(f"{name} must be two numbers with 0 < low <= high < {upper:g}, got {tuple(values)}.")
    return low, high
