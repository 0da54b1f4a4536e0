# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise simulation as MONAI array transforms: a random one for training and one that replays a recorded draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.config import NdarrayOrTensor
from monai.transforms import RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from .noise_models import MAX_SEED, NoisePlan, NoiseRecord, simulate_noise

__all__ = ["MultiPatternNoise", "RandMultiPatternNoise"]


def apply_noise(
    img: NdarrayOrTensor, plan: NoisePlan, grayscale: bool | None = None
) -> tuple[NdarrayOrTensor, NoiseRecord]:
    """Corrupt an image as planned.

    Args:
        img: clean image ``(C, ...)`` in [0, 1], float: an array, tensor or MetaTensor.
        plan: the noise to add.
        grayscale: whether the image is gray; None compares its channels.

    Returns:
        The noisy image, in the type, shape and dtype of ``img``, and the record of its noise.
    """
    tensor = convert_to_tensor(img, track_meta=True)
    values = torch.as_tensor(tensor).as_subclass(torch.Tensor)
    record = plan.record_for(values, grayscale)
    return convert_to_dst_type(simulate_noise(values, record), dst=img)[0], record


class MultiPatternNoise(Transform):
    """Corrupt an image with a given pattern, standard deviation and seed: replays a recorded draw to the bit.

    After a call :attr:`record` says which noise the image got.

    Args:
        pattern: one of :data:`~noisewise.transforms.noise_models.PATTERNS`.
        std: standard deviation on the 0..255 scale.
        seed: seed of the draw.
        protocol: one of :data:`~noisewise.transforms.noise_models.PROTOCOLS`.
        grayscale: whether the image is gray, if the caller knows; None compares its channels.
        clip: clip the noisy image to [0, 1].
        quantize: clip it and round it to 256 levels.

    Raises:
        ValueError: when an argument is not one of its choices or out of range.

    Example:
        >>> import torch
        >>> replay = MultiPatternNoise("speckle", std=25, seed=7)
        >>> image = torch.rand(1, 8, 8)
        >>> bool((replay(image) == replay(image)).all())
        True
    """

    def __init__(
        self,
        pattern: str,
        std: float,
        seed: int,
        protocol: str = "physical",
        grayscale: bool | None = None,
        clip: bool = False,
        quantize: bool = False,
    ) -> None:
        self.plan = NoisePlan(pattern, float(std), int(seed), protocol, clip=clip, quantize=quantize)
        self.grayscale = grayscale
        self.record: NoiseRecord | None = None

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Corrupt.

        Args:
            img: clean image ``(C, ...)`` in [0, 1], float.

        Returns:
            The noisy image, in the type, shape and dtype of ``img``.
        """
        noisy, self.record = apply_noise(img, self.plan, self.grayscale)
        return noisy


class RandMultiPatternNoise(RandomizableTransform):
    """Random noise for training (the paper's Algorithm 1): a pattern, a standard deviation and a seed for each image.

    All draws go through ``self.R``, so MONAI's ``set_determinism`` and ``set_random_state`` make them repeatable, in
    DataLoader workers as well. :attr:`plan` holds the last draw and, after a call, :attr:`record` the noise that the
    image got; :class:`MultiPatternNoise` replays it.

    Args:
        std_range: standard deviations are uniform in this range, on the 0..255 scale; the paper's is 0 to 75.
        patterns: patterns to choose from with equal probability; the paper's are Gaussian and speckle.
        protocol: one of :data:`~noisewise.transforms.noise_models.PROTOCOLS`.
        grayscale: whether images are gray, if the caller knows; None compares each image's channels.
        clip: clip the noisy image to [0, 1].
        quantize: clip it and round it to 256 levels.
        prob: probability of corrupting an image; otherwise it stays clean, and the record has a standard deviation
            of 0.

    Raises:
        ValueError: when an argument is not one of its choices or out of range.
    """

    def __init__(
        self,
        std_range: Sequence[float] = (0.0, 75.0),
        patterns: Sequence[str] = ("gaussian", "speckle"),
        protocol: str = "physical",
        grayscale: bool | None = None,
        clip: bool = False,
        quantize: bool = False,
        prob: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        low, high = (float(value) for value in std_range)
        if not 0 <= low <= high:
            raise ValueError(f"std_range must be two numbers with 0 <= low <= high, got {tuple(std_range)}.")
        if not patterns:
            raise ValueError("patterns must name at least one noise pattern.")
        self.std_range = (low, high)
        self.patterns = tuple(patterns)
        self.protocol = protocol
        self.grayscale = grayscale
        self.clip = clip
        self.quantize = quantize
        for name in self.patterns[::-1]:  # every pattern is checked; the first one is left as the plan
            self.plan = self._plan(name, 0.0, 0)
        self.record: NoiseRecord | None = None

    def randomize(self, data: Any = None) -> None:
        """Draw pattern, standard deviation and seed; always the same number of draws, so streams stay aligned."""
        super().randomize(None)
        pattern = self.patterns[self.R.randint(len(self.patterns))]
        std = self.R.uniform(*self.std_range)
        seed = int(self.R.randint(MAX_SEED, dtype="uint32"))
        std = float(std) if self._do_transform else 0.0
        self.plan = self._plan(pattern, std, seed)
        self.record = None

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True, grayscale: bool | None = None) -> NdarrayOrTensor:
        """Corrupt.

        Args:
            img: clean image ``(C, ...)`` in [0, 1], float.
            randomize: False uses the last draw again.
            grayscale: overrides the constructor's for this image.

        Returns:
            The noisy image, in the type, shape and dtype of ``img``.
        """
        if randomize:
            self.randomize()
        noisy, self.record = apply_noise(img, self.plan, self.grayscale if grayscale is None else grayscale)
        return noisy

    def _plan(self, pattern: str, std: float, seed: int) -> NoisePlan:
        return NoisePlan(pattern, std, seed, self.protocol, clip=self.clip, quantize=self.quantize)
