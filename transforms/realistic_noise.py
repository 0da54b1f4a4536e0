# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise as image files carry it: signal-dependent, colored, of magnitude images, clipped and rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from scipy import ndimage

from .noise_color import NoiseColor, unit_noise
from .noise_models import FULL_SCALE, MAX_SEED

__all__ = ["RandRealisticNoise", "RealisticNoise", "simulate_realistic_noise"]


@dataclass(frozen=True)
class RealisticNoise:
    """All that is needed to corrupt an image again: the noise model, its parameters and the seed.

    The standard deviation of the noise at the intensity x (in [0, 1]) is
    ``gain(position) * sqrt(additive^2 + poisson^2 x + speckle^2 x^2)``.

    Attributes:
        seed: seed of the draw, 0 to 2**32 - 1.
        additive: standard deviation of the signal-independent part, on the 0..255 scale.
        poisson: standard deviation of the photon noise at full intensity, on the 0..255 scale.
        speckle: standard deviation of the multiplicative part at full intensity, on the 0..255 scale.
        color: how the noise correlates between pixels.
        gain_map: relative spread of a slowly varying factor of the noise level, as parallel imaging leaves it (the
            g-factor); 0 for none.
        coils: 0 for signed noise; 1 for a Rician magnitude image, more for the root of the sum of squares of as many
            coils (non-central chi).
        impulses: share of pixels replaced by 0 or 1.
        scale: factor applied to the clean image first.
        offset: intensity added to the clean image first.
        clip: clip the noisy image to [0, 1], and its target too.
        quantize: clip it and round it to 256 levels.

    Raises:
        ValueError: if a number is out of range.
    """

    seed: int
    additive: float = 0.0
    poisson: float = 0.0
    speckle: float = 0.0
    color: NoiseColor = field(default_factory=NoiseColor)
    gain_map: float = 0.0
    coils: int = 0
    impulses: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    clip: bool = False
    quantize: bool = False

    def __post_init__(self) -> None:
        for name in ("additive", "poisson", "speckle", "gain_map"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.")
        if not 0 <= int(self.seed) <= MAX_SEED:
            raise ValueError(f"seed must lie between 0 and {MAX_SEED}, got {self.seed!r}.")
        if not 0 <= self.impulses <= 1:
            raise ValueError(f"impulses must be a share in [0, 1], got {self.impulses!r}.")
        if self.coils < 0:
            raise ValueError(f"coils must be at least 0, got {self.coils!r}.")
        if not self.scale > 0:
            raise ValueError(f"scale must be positive, got {self.scale!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The record as nested plain dictionaries, which collate, serialize and log."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> RealisticNoise:
        """The inverse of :meth:`as_dict`."""
        return cls(**{**record, "color": NoiseColor(**record["color"])})


def simulate_realistic_noise(
    clean: torch.Tensor, noise: RealisticNoise, shared: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Corrupt an image.

    The noise of a magnitude image biases it; the target is the signal without noise, so that a denoiser learns to
    remove the bias too. The target of a clipped image is clipped, since nothing can tell how bright a saturated pixel
    was.

    Args:
        clean: the clean image ``(C, H, W)`` in [0, 1], float.
        noise: the noise model and its seed. The same record gives the same image.
        shared: whether all channels get one draw: the channels of a gray image are equal.

    Returns:
        The noisy image and its target: shape, dtype and device of ``clean``.

    Raises:
        ValueError: if the image is not floating point or not ``(C, H, W)``.
    """
    if not clean.is_floating_point() or clean.ndim != 3:
        raise ValueError(f"expected a float image (C, H, W), got {clean.dtype} of shape {tuple(clean.shape)}.")
    target = clean.detach().cpu().numpy().astype(np.float32) * np.float32(noise.scale) + np.float32(noise.offset)
    state = np.random.RandomState(noise.seed)
    noisy = _corrupt(target[:1] if shared else target, noise, state)
    if noise.clip or noise.quantize:
        noisy, target = noisy.clip(0.0, 1.0), target.clip(0.0, 1.0)
    if noise.quantize:
        noisy = np.round(noisy * FULL_SCALE) / FULL_SCALE
    noisy = np.broadcast_to(noisy, target.shape)
    return tuple(torch.from_numpy(np.array(part, dtype=np.float32)).to(clean) for part in (noisy, target))


def _corrupt(clean: np.ndarray, noise: RealisticNoise, state: np.random.RandomState) -> np.ndarray:
    signal = clean.clip(0.0, None)
    level = np.sqrt(noise.additive**2 + noise.poisson**2 * signal + np.square(noise.speckle * signal)) / FULL_SCALE
    if noise.gain_map > 0:
        level = level * _smooth_gain(clean.shape[1:], noise.gain_map, state)
    if noise.coils == 0:
        noisy = clean + level * unit_noise(clean.shape, noise.color, state)
    else:
        noisy = _magnitude(signal, level, noise, state)
    if noise.impulses > 0:
        draw = state.uniform(size=clean.shape)
        noisy = np.where(draw < noise.impulses / 2, 0.0, np.where(draw < noise.impulses, 1.0, noisy))
    return noisy.astype(np.float32)


def _magnitude(
    signal: np.ndarray, level: np.ndarray, noise: RealisticNoise, state: np.random.RandomState
) -> np.ndarray:
    """The root of the sum of squares over coils of equal sensitivity, each with a real and an imaginary part."""
    power = np.zeros_like(signal)
    for _ in range(noise.coils):
        real = signal / np.sqrt(noise.coils) + level * unit_noise(signal.shape, noise.color, state)
        imaginary = level * unit_noise(signal.shape, noise.color, state)
        power += np.square(real) + np.square(imaginary)
    return np.sqrt(power)


def _smooth_gain(shape: tuple[int, ...], spread: float, state: np.random.RandomState) -> np.ndarray:
    """A positive factor around 1 that varies over about a quarter of the image: a coarse grid, interpolated."""
    coarse = state.standard_normal((5, 5))
    fine = ndimage.zoom(coarse, [side / 5 for side in shape], order=3, mode="nearest", grid_mode=True)
    return np.exp(spread * fine - spread**2 / 2).astype(np.float32)


class RandRealisticNoise(RandomizableTransform):
    """Random noise for training, drawn anew for each image from the kinds that image files carry.

    The level sigma is uniform in ``std_range``, or for a share of ``low_prob`` of the images in its lowest quarter.
    Its square is given to the additive part, the speckle, the photon noise, or split among all three. All draws go
    through ``self.R``, so MONAI's ``set_determinism`` and ``set_random_state`` make them repeatable. After a call,
    :attr:`record` holds the draw; :func:`simulate_realistic_noise` repeats it.

    Args:
        std_range: range of the level on the 0..255 scale.
        low_prob: share of images whose level is drawn from the lowest quarter of the range.
        color_prob: share of images with colored noise.
        magnitude_prob: share of magnitude images (Rician, or non-central chi of 2 to 8 coils).
        gain_prob: share of images with a noise level that varies slowly over the image.
        impulse_prob: share of images with impulses.
        clip_prob: share of images that are clipped and rounded as an 8-bit file is.
        affine_prob: share of images whose intensities are scaled and shifted first, beyond [0, 1] too.
        clean_prob: share of images without noise.

    Raises:
        ValueError: if a range or a share is not valid.
    """

    def __init__(
        self,
        std_range: Sequence[float] = (0.0, 75.0),
        low_prob: float = 0.25,
        color_prob: float = 0.5,
        magnitude_prob: float = 0.1,
        gain_prob: float = 0.15,
        impulse_prob: float = 0.02,
        clip_prob: float = 0.3,
        affine_prob: float = 0.25,
        clean_prob: float = 0.02,
    ) -> None:
        RandomizableTransform.__init__(self, 1.0)
        low, high = (float(value) for value in std_range)
        if not 0 <= low <= high:
            raise ValueError(f"std_range must be two numbers with 0 <= low <= high, got {tuple(std_range)}.")
        shares = {
            "low_prob": low_prob,
            "color_prob": color_prob,
            "magnitude_prob": magnitude_prob,
            "gain_prob": gain_prob,
            "impulse_prob": impulse_prob,
            "clip_prob": clip_prob,
            "affine_prob": affine_prob,
            "clean_prob": clean_prob,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share in [0, 1], got {share!r}.")
        self.std_range = (low, high)
        self.shares = shares
        self.record = RealisticNoise(seed=0)

    def randomize(self, data: Any = None) -> None:
        """Draw a noise model, its parameters and a seed into :attr:`record`."""
        low, high = self.std_range
        top = low + (high - low) / 4 if self._happens("low_prob") else high
        std = float(self.R.uniform(low, top))
        record = RealisticNoise(seed=int(self.R.randint(MAX_SEED, dtype="uint32")), **self._parts(std))
        if self._happens("color_prob"):
            record = replace(record, color=self._color())
        if self._happens("magnitude_prob"):
            # The noise of coils is additive; strong magnitude noise hides the signal.
            record = replace(record, additive=std, poisson=0.0, speckle=0.0, coils=self._coils())
        if self._happens("gain_prob"):
            record = replace(record, gain_map=float(self.R.uniform(0.05, 0.35)))
        if self._happens("impulse_prob"):
            record = replace(record, impulses=float(10 ** self.R.uniform(-3, -1.3)))
        if self._happens("affine_prob"):
            record = replace(record, scale=float(self.R.uniform(0.4, 1.4)), offset=float(self.R.uniform(-0.15, 0.25)))
        if self._happens("clip_prob"):
            record = replace(record, clip=True, quantize=True)
        if self._happens("clean_prob"):
            record = replace(record, additive=0.0, poisson=0.0, speckle=0.0, impulses=0.0, coils=0)
        self.record = record

    def _happens(self, share: str) -> bool:
        return bool(self.R.uniform() < self.shares[share])

    def _parts(self, std: float) -> dict[str, float]:
        kind = self.R.choice(4, p=[0.4, 0.3, 0.1, 0.2])
        shares = np.eye(3)[kind] if kind < 3 else self.R.dirichlet([1.0, 1.0, 1.0])
        additive, speckle, poisson = std * np.sqrt(shares)
        return {"additive": float(additive), "speckle": float(speckle), "poisson": float(poisson)}

    def _color(self) -> NoiseColor:
        kind = self.R.choice(["gaussian", "resampled", "kspace", "detector", "lines"], p=[0.4, 0.25, 0.2, 0.1, 0.05])
        equal = self.R.uniform() < 0.6

        def pair(low: float, high: float) -> dict[str, float]:
            first, second = (float(self.R.uniform(low, high)) for _ in range(2))
            return {"rows": first, "columns": first if equal else second}

        if kind == "gaussian":
            return NoiseColor(kind, angle=float(self.R.uniform(0, np.pi)), **pair(0.3, 1.5))
        if kind == "resampled":
            return NoiseColor(kind, order=int(self.R.choice([1, 3])), **pair(1.0, 2.2))
        if kind == "kspace":
            return NoiseColor(kind, angle=float(self.R.uniform(0, 1)), **pair(0.45, 1.0))
        if kind == "detector":
            return NoiseColor(kind, white=float(self.R.uniform(0, 0.6)), **pair(0.1, 0.5))
        return NoiseColor(kind, white=float(self.R.uniform(0.5, 0.95)), **pair(0.0, 1.0))

    def _coils(self) -> int:
        return 1 if self.R.uniform() < 0.7 else int(self.R.randint(2, 9))

    def __call__(
        self, img: NdarrayOrTensor, randomize: bool = True, grayscale: bool | None = None
    ) -> tuple[NdarrayOrTensor, NdarrayOrTensor]:
        """Corrupt.

        Args:
            img: clean image ``(C, H, W)`` in [0, 1], float.
            randomize: False uses the last draw again.
            grayscale: whether all channels get one draw; None compares the channels.

        Returns:
            The noisy image and its target, of the type that came.
        """
        if randomize:
            self.randomize()
        values = torch.as_tensor(convert_to_tensor(img, track_meta=False))
        if grayscale is None:
            grayscale = bool((values[1:] == values[:1]).all())
        noisy, target = simulate_realistic_noise(values, self.record, bool(grayscale))
        return convert_to_dst_type(noisy, dst=img)[0], convert_to_dst_type(target, dst=img)[0]
