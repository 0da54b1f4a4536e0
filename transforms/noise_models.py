# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise patterns and noise protocols as plain functions of (image, std, seed): the same call gives the same bits.

A **pattern** is how noise enters an image; a **protocol** settles what the paper's Algorithm 1 leaves unsaid: how
many draws a grey image gets, and what a standard deviation means. Images are in [0, 1]; standard deviations are on
the paper's 0..255 scale everywhere, so that "sigma 25" reads the same in code, tables and file names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import RandRicianNoise

__all__ = ["PATTERNS", "PROTOCOLS", "NoiseRecord", "derive_seed", "simulate_noise"]

FULL_SCALE = 255.0
MAX_SEED = 2**32 - 1
CORRELATION_LENGTH = 1.0
"""Standard deviation, in pixels, of the Gaussian kernel that filters white noise in the pattern ``correlated``."""


@dataclass(frozen=True)
class NoiseRecord:
    """All that is needed to corrupt an image again to the bit.

    Attributes:
        pattern: a name in :data:`PATTERNS`.
        std: the standard deviation on the 0..255 scale.
        seed: seed of the draw, 0 to 2**32 - 1.
        protocol: a name in :data:`PROTOCOLS`.
        shared: whether all channels got the same draw.
        clip: whether the noisy image was clipped to [0, 1].
        quantize: whether it was rounded to 256 levels as well.
    """

    pattern: str
    std: float
    seed: int
    protocol: str = "physical"
    shared: bool = False
    clip: bool = False
    quantize: bool = False

    def __post_init__(self) -> None:
        check_choice("pattern", self.pattern, PATTERNS)
        check_choice("protocol", self.protocol, PROTOCOLS)
        if not (np.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std must be a finite number of at least 0 (0..255 scale), got {self.std!r}.")
        if not 0 <= int(self.seed) <= MAX_SEED:
            raise ValueError(f"seed must lie between 0 and {MAX_SEED}, got {self.seed!r}.")
        if self.protocol == "author_code" and self.pattern not in ("gaussian", "speckle"):
            raise ValueError(f"the protocol 'author_code' knows gaussian and speckle only, got {self.pattern!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The record as a plain dictionary, which collates, serialises and logs."""
        return asdict(self)


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise ``ValueError`` that lists the choices when ``value`` is none of them."""
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


def simulate_noise(clean: torch.Tensor, record: NoiseRecord) -> torch.Tensor:
    """Corrupt an image (the paper's Algorithm 1, eq. 2 and 3, and the patterns beyond it).

    The draws come from NumPy's ``RandomState``, whose stream NumPy guarantees never to change, and are the same on
    every device.

    Args:
        clean: the clean image ``(C, ...)`` in [0, 1], float.
        record: what to do.

    Returns:
        The noisy image: same shape, dtype and device; unclipped unless the record says otherwise.

    Raises:
        ValueError: when the image is not floating point or the record is not valid.
    """
    if not clean.is_floating_point():
        raise ValueError(f"noise is simulated on float images in [0, 1], got dtype {clean.dtype}.")
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
    state = np.random.RandomState(record.seed)
    std = record.std / FULL_SCALE
    if record.protocol == "author_code":
        return _author_code(clean, record.pattern, std, state)
    return PATTERNS[record.pattern](clean, std, state)


def _author_code(clean: np.ndarray, pattern: str, std: float, state: np.random.RandomState) -> np.ndarray:
    """Uniform, non-negative noise on data normalised to [-1, 1], as the first author's earlier public code has it."""
    noise = state.uniform(0.0, std, clean.shape).astype(np.float32)
    normalised = 2.0 * clean - 1.0
    noisy = normalised + (noise if pattern == "gaussian" else normalised * noise)
    return (noisy + 1.0) / 2.0


def _gaussian(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """I_C + n, n ~ N(0, std^2) (eq. 2)."""
    return clean + std * state.standard_normal(clean.shape).astype(np.float32)


def _correlated(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """I_C + n, n ~ N(0, std^2) at every pixel, neighbours alike: white noise through a Gaussian kernel.

    The kernel's standard deviation is :data:`CORRELATION_LENGTH` pixels, so pixels d apart correlate by
    exp(-d^2 / (4 length^2)): 0.78 for neighbours. White noise is drawn beyond the image by the kernel's radius, so
    the noise is as strong at the border as inside and does not wrap around. Sums in a fixed order and no transform:
    the same bits everywhere.
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
    """Pixels replaced by 0 or 1, half each; a share of 4 std^2, so that ``std`` is reached at mid-grey."""
    share = min(1.0, 4.0 * std**2)
    draw = state.uniform(size=clean.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, clean)).astype(np.float32)


def _quantization(clean: np.ndarray, std: float, state: np.random.RandomState) -> np.ndarray:
    """Rounding to steps of sqrt(12) std, whose error has standard deviation ``std`` on smooth intensities."""
    if std == 0:
        return clean.copy()
    step = np.float32(np.sqrt(12.0) * std)
    return np.round(clean / step) * step


PATTERNS: dict[str, Callable[[np.ndarray, float, np.random.RandomState], np.ndarray]] = {
    "gaussian": _gaussian,
    "speckle": _speckle,
    "rician": _rician,
    "poisson": _poisson,
    "salt_and_pepper": _salt_and_pepper,
    "quantization": _quantization,
    "correlated": _correlated,
}
"""Noise patterns by name. ``std`` is each one's standard deviation at the intensity that its docstring states."""

PROTOCOLS: dict[str, str] = {
    "physical": "Algorithm 1 on [0, 1]; one draw shared by the channels of a grey image, a draw a channel in colour.",
    "published": "Algorithm 1 on [0, 1] to the letter: an independent draw for every channel, grey images included.",
    "author_code": "uniform noise U(0, std/255) on [-1, 1] data, times the image for speckle; a draw a channel.",
}
"""What each noise protocol means. None of them clips; clipping and rounding are options of their own."""
