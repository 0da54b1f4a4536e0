# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from noisewise.pipelines.denoising import denoiser as denoiser_module
from noisewise.pipelines.denoising.denoiser import cached_denoiser


class HalvingEngine:
    """Halves every value, so that the effect of all other code is known exactly."""

    name = "halving"
    precision = "float32"
    bytes_per_pixel = 1

    def __call__(self, images):
        return images * np.float32(0.5)


@pytest.fixture
def halving(monkeypatch):
    """All denoisers halve their input: ``out = in - (in - black) / 2``."""
    cached_denoiser.cache_clear()
    monkeypatch.setattr(denoiser_module, "load_engine", lambda *_: HalvingEngine())
    yield
    cached_denoiser.cache_clear()


@pytest.fixture(scope="module")
def halving_module():
    """``halving`` for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        cached_denoiser.cache_clear()
        patch.setattr(denoiser_module, "load_engine", lambda *_: HalvingEngine())
        yield
    cached_denoiser.cache_clear()


@pytest.fixture
def pictures(tmp_path):
    """Creates a folder of small PNG files; returns the pixels by name."""

    def make(*names, folder="in", size=(20, 24)):
        pixels = {}
        for number, name in enumerate(names):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels[name] = np.random.default_rng(number).integers(0, 256, size, np.uint8)
            Image.fromarray(pixels[name]).save(path)
        return pixels

    return make
