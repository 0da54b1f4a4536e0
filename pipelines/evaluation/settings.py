# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of an evaluation: which images, under which noise, on which device."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .conditions import expand_conditions
from .items import evaluation_items

__all__ = ["CENTER_CROPS", "WHOLE_IMAGES", "EvaluationSettings"]


@dataclass(frozen=True)
class EvaluationSettings:
    """Which images an evaluation scores, and under which noise.

    The fields have the names and defaults of the same keys in the bundle's ``evaluate.yaml``.

    Attributes:
        split: ``"train"``, ``"val"`` or ``"test"``; None for all images.
        modalities: names of modalities; None for all.
        limit: at most this many images of each modality, always the same ones; None for all.
        crop: side of the scored center crop in pixels; None scores whole images.
        protocol: noise protocol, see :data:`~noisewise.transforms.PROTOCOLS`.
        patterns: noise patterns.
        stds: standard deviations of the noise on the 0..255 scale.
        seed: base seed of the noise.
        clip: clip the noisy images to [0, 1].
        quantize: clip them and round them to 256 levels, as an 8-bit file holds them.
        through: ``"network"`` scores the network alone, ``"product"`` as :func:`noisewise.denoise` runs it.
        amp_dtype: ``"bfloat16"`` or ``"float16"`` runs the networks in that precision; None in float32.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; None takes a GPU where there is one.
    """

    split: str | None = "test"
    modalities: tuple[str, ...] | None = None
    limit: int | None = None
    crop: int | None = None
    protocol: str = "physical"
    patterns: tuple[str, ...] = ("gaussian", "speckle")
    stds: tuple[float, ...] = (10.0, 25.0, 50.0, 75.0)
    seed: int = 0
    clip: bool = False
    quantize: bool = False
    through: str = "network"
    amp_dtype: str | None = None
    device: str | None = None

    def items(self, manifest: str | os.PathLike) -> list[dict[str, Any]]:
        """Select the clean images.

        Args:
            manifest: path of the manifest.

        Returns:
            The data list; see :func:`~noisewise.pipelines.evaluation.evaluation_items`, which also names the errors.
        """
        return evaluation_items(manifest, self.split, self.modalities, self.limit, self.crop)

    def conditions(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Combine images with every noise pattern and standard deviation.

        Args:
            items: clean images, such as :meth:`items` gives.

        Returns:
            The conditions; see :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions`.
        """
        return expand_conditions(items, self.patterns, self.stds, self.protocol, self.seed, self.clip, self.quantize)

    def overrides(self) -> dict[str, Any]:
        """Return the settings as keys and values of ``evaluate.yaml``; without a device, the config chooses one."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.device is None:
            del values["device"]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


WHOLE_IMAGES = EvaluationSettings()
"""The defaults of ``noisewise evaluate``."""
CENTER_CROPS = EvaluationSettings(crop=256)
"""The defaults of the comparison and the studies: center crops of 256 x 256 pixels."""
