# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise patterns and noise protocols as plain functions of (image, std, seed): the same call gives the same bits.

A **pattern** is how noise enters an image; a **protocol** settles what the paper's Algorithm 1 leaves open: how many
draws a gray image gets, and what a standard deviation means. A **plan** says which noise an image is to get; a
**record** says which noise it got. Images are in [0, 1]; standard deviations are on
the paper's 0..255 scale everywhere, so that "sigma 25" reads the same in code, tables and file names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import RandRicianNoise

__all__ = [
    "NOISE_PROTOCOLS",
    "PATTERNS",
    "PROTOCOLS",
    "NoisePlan",
    "NoiseProtocol",
    "NoiseRecord",
    "derive_seed",
    "simulate_noise",
]

FULL_SCALE = 255.0
MAX_SEED = 2**32 - 1
CORRELATION_LENGTH = 1.0
"""Standard deviation, in pixels, of the Gaussian kernel that filters white noise in the pattern ``correlated``."""


@dataclass(frozen=True)
class NoisePlan:
    """The noise that an image is to get. Nothing in it depends on the image.

    Attributes:
        pattern: a name in :data:`PATTERNS`.
        std: the standard deviation on the 0..255 scale.
        seed: seed of the draw, 0 to 2**32 - 1.
        protocol: a name in :data:`PROTOCOLS`.
        clip: whether the noisy image is clipped to [0, 1].
        quantize: whether it is clipped and rounded to 256 levels.

    Raises:
        ValueError: when a value is not one of its choices or out of range.
    """

    pattern: str
    std: float
    seed: int
    protocol: str = "physical"
    _: KW_ONLY
    clip: bool = False
    quantize: bool = False

    def __post_init__(self) -> None:
        check_choice("pattern", self.pattern, PATTERNS)
        check_choice("protocol", self.protocol, NOISE_PROTOCOLS)
        if not (np.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std must be a finite number of at least 0 (0..255 scale), got {self.std!r}.")
        if not 0 <= int(self.seed) <= MAX_SEED:
            raise ValueError(f"seed must lie between 0 and {MAX_SEED}, got {self.seed!r}.")
        allowed = NOISE_PROTOCOLS[self.protocol].patterns
        if self.pattern not in allowed:
            raise ValueError(f"the protocol {self.protocol!r} only has {' and '.join(allowed)}, got {self.pattern!r}.")

    def as_dict(self) -> dict[str, Any]:
        """All fields as a plain dictionary, which collates, serializes and logs."""
        return asdict(self)

    def record_for(self, image: torch.Tensor, grayscale: bool | None = None) -> NoiseRecord:
        """Decide what the plan leaves to the image: whether its channels share one draw.

        Args:
            image: clean image ``(C, ...)``.
            grayscale: whether the image is gray; None compares its channels.

        Returns:
            The record, with which :func:`simulate_noise` corrupts this image.
        """
        shared = NOISE_PROTOCOLS[self.protocol].shares_gray_draw and image.shape[0] > 1
        if shared and grayscale is None:
            grayscale = bool((image[1:] == image[:1]).all())
        return NoiseRecord(**asdict(self), shared=bool(shared and grayscale))


@dataclass(frozen=True)
class NoiseRecord(NoisePlan):
    """The noise that an image got: a plan with nothing left open, which corrupts the image again to the bit.

    Attributes:
        shared: whether all channels got the same draw.
    """

    shared: bool = False

    def record_for(self, image: torch.Tensor, grayscale: bool | None = None) -> NoiseRecord:
        """This record, whatever the image."""
        return self


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise a ``ValueError`` that lists the choices when ``value`` is not one of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}.")


def derive_seed(*parts: Any) -> int:
    """A seed that depends on all parts and on nothing else (no process, platform or order of calls).

    Args:
        parts: anything with a stable ``str``: a base seed, an image id, a pattern, a standard deviation.

    Returns:
        An integer from 0 to 2**32 - 1.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def simulate_noise(clean: torch.Tensor, plan: NoisePlan) -> torch.Tensor:
    """Corrupt an image (the paper's Algorithm 1, eq. 2 and 3, and the patterns beyond it).

    The draws come from NumPy's ``RandomState``, whose stream NumPy guarantees never to change, and are the same on
    every device.

    Args:
        clean: the clean image ``(C, ...)`` in [0, 1], float.
        plan: the noise to add. A record repeats its draw; a mere plan has the image's channels compared where the
            protocol treats gray images differently.

    Returns:
        The noisy image: same shape, dtype and device; not clipped unless the plan says so.

    Raises:
        ValueError: when the image is not floating point.
    """
    if not clean.is_floating_point():
        raise ValueError(f"noise is simulated on float images in [0, 1], got dtype {clean.dtype}.")
    record = plan.record_for(clean)
    values = clean.detach().cpu().numpy().astype(np.float32)
    if record.shared:
        # The same seed for every channel: equal channels come out equal, whatever the pattern. They nearly always are.
        if (values[1:] == values[:1]).all():
            noisy = np.broadcast_to(_corrupt(values[:1], record), values.shape)
        else:
            noisy = np.concatenate([_corrupt(channel[None], record) for channel in values])
    else:
        noisy = _corrupt(values, record)
    if record.clip or record.quantize:
        noisy = noisy.clip(0.0, 1.0)
    if record.quantize:
        noisy = np.round(noisy * FULL_SCALE) / FULL_SCALE
    return torch.from_numpy(np.array(noisy, dtype=np.float32)).to(clean)


def _corrupt(clean: np.ndarray, record: NoiseRecord) -> np.ndarray:
    add_noise = NOISE_PROTOCOLS[record.protocol].patterns[record.pattern]
    return add_noise(clean, record.std / FULL_SCALE, np.random.RandomState(record.seed))


def _gaussian(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """I_C + n, n ~ N(0, std^2) (eq. 2)."""
    return clean + std * state.standard_normal(clean.shape).astype(np.float32)


def _correlated(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """I_C + n, n ~ N(0, std^2) at every pixel, like its neighbors: white noise through a Gaussian kernel.

    The kernel's standard deviation is :data:`CORRELATION_LENGTH` pixels, so pixels d apart correlate by
    exp(-d^2 / (4 length^2)): 0.78 for neighbors. White noise is drawn beyond the image by the kernel's radius, so
    the noise is as strong at the border as inside and does not wrap around. Sums run in a fixed order and without
    a Fourier transform, so the bits are the same everywhere.
    """
    radius = int(np.ceil(4 * CORRELATION_LENGTH))
    weights = np.exp(-np.square(np.arange(-radius, radius + 1) / CORRELATION_LENGTH) / 2)
    weights /= np.sqrt(np.sum(np.square(weights)))  # keeps the variance, where a blur would keep the mean
    noise = state.standard_normal([clean.shape[0], *(side + 2 * radius for side in clean.shape[1:])])
    for axis in range(1, clean.ndim):
        noise = np.moveaxis(noise, axis, 0)
        side = len(noise) - 2 * radius
        filtered = np.zeros((side, *noise.shape[1:]))
        for start, weight in enumerate(weights):
            filtered += weight * noise[start : start + side]
        noise = np.moveaxis(filtered, 0, axis)
    return clean + std * noise.astype(np.float32)


def _speckle(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """I_C + I_C * n, n ~ N(0, std^2) (eq. 3)."""
    return clean + clean * std * state.standard_normal(clean.shape).astype(np.float32)


def _rician(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """sqrt((I_C + n1)^2 + n2^2): the magnitude of a complex MRI signal with Gaussian noise in both parts (MONAI's)."""
    if std == 0:
        return clean.copy()
    noise = RandRicianNoise(prob=1.0, mean=0.0, std=std, sample_std=False, dtype=np.float32)
    noise.set_random_state(state=state)
    return np.asarray(noise(clean))


def _poisson(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """Photon counting: Poisson(I_C * N) / N with N = 1 / std^2, so that ``std`` is reached at full intensity."""
    if std == 0:
        return clean.copy()
    photons = 1.0 / std**2
    return (state.poisson(clean.clip(0.0, None) * photons) / photons).astype(np.float32)


def _salt_and_pepper(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """Pixels replaced by 0 or 1, half each; a share of 4 std^2, so that ``std`` is reached at mid-gray."""
    share = min(1.0, 4.0 * std**2)
    draw = state.uniform(size=clean.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, clean)).astype(np.float32)


def _quantization(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """Rounding to steps of sqrt(12) std, whose error has standard deviation ``std`` on smooth intensities."""
    if std == 0:
        return clean.copy()
    step = np.float32(np.sqrt(12.0) * std)
    return np.round(clean / step) * step


def _uniform(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """z + u with z = 2 I_C - 1 and u ~ U(0, std): the Gaussian branch of the first author's earlier public code."""
    noise = state.uniform(0.0, std, clean.shape).astype(np.float32)
    return (2.0 * clean - 1.0 + noise + 1.0) / 2.0


def _uniform_speckle(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """z + z u with z and u as in :func:`_uniform`: the speckle branch of the same code."""
    noise = state.uniform(0.0, std, clean.shape).astype(np.float32)
    normalized = 2.0 * clean - 1.0
    return (normalized + normalized * noise + 1.0) / 2.0


def _remove_uniform_mean(noisy: Any, pattern: str, std: float) -> Any:
    """``z + u`` lies std / 2 too high on [-1, 1]; ``z + z u`` is too large by the factor 1 + std / 2."""
    mean = std / 2
    if pattern == "gaussian":
        return noisy - mean / 2
    return ((2 * noisy - 1) / (1 + mean) + 1) / 2


PatternFunction = Callable[[np.ndarray, float, np.random.RandomState], np.ndarray]
"""Maps a clean image in [0, 1], a standard deviation on that scale and a random state to the noisy image."""

PATTERNS: dict[str, PatternFunction] = {
    "gaussian": _gaussian,
    "speckle": _speckle,
    "rician": _rician,
    "poisson": _poisson,
    "salt_and_pepper": _salt_and_pepper,
    "quantization": _quantization,
    "correlated": _correlated,
}
"""Noise patterns by name. ``std`` is each one's standard deviation at the intensity that its docstring states."""


@dataclass(frozen=True)
class NoiseProtocol:
    """All that one protocol settles. A new protocol is one more entry of :data:`NOISE_PROTOCOLS`.

    Attributes:
        description: one sentence for tables and reports.
        patterns: the patterns that it has, each with the function that draws it.
        shares_gray_draw: whether the equal channels of a gray image get one draw.
        remove_mean: takes a noisy image about [0, 1], the pattern and the standard deviation on that scale, and
            returns the image without the mean of its noise; None where noise has no mean to be removed.
        speckle_factor: maps the standard deviation on the [0, 1] scale to ``(s, c)`` of the model
            ``I = c + (I_C - c) (1 + s n)`` of a speckled image whose mean is removed, n of mean 0 and variance 1.
    """

    description: str
    patterns: Mapping[str, PatternFunction]
    shares_gray_draw: bool = False
    remove_mean: Callable[[Any, str, float], Any] | None = None
    speckle_factor: Callable[[float], tuple[float, float]] = lambda std: (std, 0.0)


NOISE_PROTOCOLS: dict[str, NoiseProtocol] = {
    "physical": NoiseProtocol(
        "Algorithm 1 on [0, 1]; one draw shared by the channels of a gray image, a draw per channel in color.",
        PATTERNS,
        shares_gray_draw=True,
    ),
    "published": NoiseProtocol(
        "Algorithm 1 on [0, 1] to the letter: an independent draw for every channel, gray images included.",
        PATTERNS,
    ),
    "author_code": NoiseProtocol(
        "uniform noise U(0, std/255) on [-1, 1] data, times the image for speckle; a draw per channel.",
        {"gaussian": _uniform, "speckle": _uniform_speckle},
        remove_mean=_remove_uniform_mean,
        # U(0, std) has the standard deviation std / sqrt(12). Mid-gray, 0 on the [-1, 1] scale, gets no noise.
        speckle_factor=lambda std: (std / 12**0.5 / (1 + std / 2), 0.5),
    ),
}
"""Noise protocols by name. None of them clips; clipping and rounding are options of their own."""

PROTOCOLS: dict[str, str] = {name: protocol.description for name, protocol in NOISE_PROTOCOLS.items()}
"""Each noise protocol's description."""
