# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Real images that lie inside scikit-image's wheel, and noise for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def images():
    """Channel-first float64 crops on 0..255, by name."""
    data = pytest.importorskip("skimage.data")
    crops = {
        "camera": data.camera()[150:262, 180:300],
        "coins": data.coins()[40:137, 20:121],
        "retina": data.retina()[600:700, 500:611],
        "chelsea": data.chelsea()[60:172, 120:230],
    }
    return {name: np.atleast_3d(x).transpose(2, 0, 1).astype(np.float64) for name, x in crops.items()}


@pytest.fixture(scope="session")
def noisy():
    """Adds seeded Gaussian noise on 0..255 and clips."""

    def add(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
        return np.clip(image + np.random.default_rng(seed).normal(0, sigma, image.shape), 0, 255)

    return add


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
