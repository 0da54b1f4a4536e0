# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A phantom whose anatomy, blur and noise are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import erf

from noisewise.data_manifest import Manifest, ManifestRecord, file_digest


@pytest.fixture(scope="session")
def phantom() -> Callable[..., np.ndarray]:
    """Makes a slice: a body of soft tissue in air, off the middle, with a lung, a patch of fat, bone, and a table."""

    def disk(size: int, row: float, column: float, radius: float, blur_px: float) -> np.ndarray:
        rows, columns = np.ogrid[:size, :size]
        inside = radius - np.hypot(rows - row, columns - column)
        # A straight edge's profile: exact to the edge's curvature, and no grid blurs it further.
        return (1 + erf(inside / (np.sqrt(2) * blur_px))) / 2

    def make(noise_hu: float = 0.0, blur_px: float = 0.8, seed: int = 0, size: int = 256) -> np.ndarray:
        image = np.full((size, size), -1000.0)
        image[244:249, 40:220] = 100.0
        body = disk(size, 125.3, 130.7, 100.2, blur_px)
        image = image * (1 - body) + 50 * body
        for row, column, radius, value in ((100, 85, 30, -850), (100, 180, 25, -100), (180, 130, 20, 600)):
            part = disk(size, row + 0.2, column - 0.4, radius, blur_px)
            image = image * (1 - part) + value * part
        return image + np.random.default_rng(seed).normal(0, noise_hu, image.shape)

    return make


@pytest.fixture
def pairs(tmp_path) -> Path:
    """A manifest of three patients with a pair of each of two kernels, 112 x 112 pixels."""
    y, x = np.mgrid[:112, :112] - 55.5
    body = np.where((y / 50) ** 2 + (x / 52) ** 2 < 1, 40.0, -1000.0)
    body[(y + 26) ** 2 + x**2 < 60] = 250
    records = []
    for number, subject in enumerate(("P1", "P2", "P3")):
        for kernel, level in (("B30f", 10), ("D45f", 30)):
            draw = np.random.default_rng([number, level]).normal(0, level, (2, 112, 112))
            paths = []
            for name, image in (("full", body + draw[0]), ("low", body + draw[0] + math.sqrt(3) * draw[1])):
                path = tmp_path / f"{subject}_{kernel}_{name}.png"
                Image.fromarray(np.round(image + 1024).clip(0).astype(np.uint16)).save(path)
                paths.append(str(path))
            records.append(
                ManifestRecord(
                    path=paths[1],
                    slice=None,
                    modality="ct",
                    source="phantom",
                    license="CC0-1.0",
                    subject=subject,
                    split="",
                    sha256=file_digest(paths[1]),
                    stored_dtype="uint16",
                    intensity_min=24.0,
                    intensity_max=2024.0,
                    channels=1,
                    height=112,
                    width=112,
                    target=paths[0],
                    kernel=kernel,
                )
            )
    return Manifest(records).write(tmp_path / "pairs.csv")
