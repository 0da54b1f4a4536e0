# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The images of an evaluation, checked before the first one is denoised."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...data_manifest import Manifest, verify_manifest
from ...listing import first_lines

__all__ = ["evaluation_items"]

# VIFP's fourth scale needs this many pixels.
SMALLEST_SIDE = 41
SHOWN = 10


def evaluation_items(
    manifest: str | os.PathLike,
    split: str | None = "test",
    modalities: Sequence[str] | None = None,
    limit: int | None = None,
    crop: int | None = None,
) -> list[dict[str, Any]]:
    """Select the clean images of a manifest that an evaluation corrupts and scores.

    Args:
        manifest: path of the manifest.
        split: ``"train"``, ``"val"`` or ``"test"``; None for all images.
        modalities: names of modalities; None for all.
        limit: at most this many images of each modality, always the same ones; None for all.
        crop: side of the center crop that will be scored, in pixels; None scores whole images.

    Returns:
        The manifest's data list, see :meth:`~noisewise.data_manifest.Manifest.datalist`.

    Raises:
        ManifestError: when the manifest cannot be read or has no such image.
        ValueError: when ``crop`` is below 41 pixels, which VIFP needs, or when images cannot be scored: missing files,
            images below 41 pixels a side, or images that have a clean partner and are therefore noisy. The message
            names the first few.
    """
    if crop is not None and crop < SMALLEST_SIDE:
        raise ValueError(f"crop must be at least {SMALLEST_SIDE} pixels, which VIFP needs, got {crop}.")
    chosen = Manifest.read(manifest).select(split, modalities, limit_per_modality=limit)
    found = verify_manifest(chosen, decode=False, min_size=SMALLEST_SIDE)
    # Duplicates and leaks spoil a training, but they can be scored.
    problems = [str(problem) for problem in found if problem.kind not in ("duplicate", "leak")]
    problems += [
        f"{record.name}: it is the noisy half of a pair; noise is simulated on clean images"
        for record in chosen
        if record.target
    ]
    if problems:
        raise ValueError(f"{manifest}: images that cannot be evaluated:\n{first_lines(problems, SHOWN)}")
    return chosen.datalist()
