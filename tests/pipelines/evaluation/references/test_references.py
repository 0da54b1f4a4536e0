# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.evaluation import BM3DDenoiser, NonLocalMeansDenoiser, reference_methods
from noisewise.pipelines.evaluation.references import bm3d as bm3d_reference
from noisewise.transforms import NoiseRecord, simulate_noise

skimage_data = pytest.importorskip("skimage.data")
bm3d = pytest.importorskip("bm3d")

LEVEL = 25 / 255
PROFILE = bm3d.BM3DProfile()
PROFILE.num_threads = 1


def one_thread_bm3d() -> BM3DDenoiser:
    """On shared cores, its threads wait for each other."""
    return BM3DDenoiser(num_threads=1)


def psnr(image, clean) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(image, dtype=np.float64) - np.asarray(clean)) ** 2)))


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return skimage_data.cell()[250:346, 340:436] / 255.0


@pytest.fixture(scope="module")
def colour() -> np.ndarray:
    return skimage_data.immunohistochemistry()[100:164, 100:164] / 255.0


def noisy_copy(clean) -> np.ndarray:
    return clean + LEVEL * np.random.default_rng(0).normal(size=clean.shape)


def as_batch(image) -> torch.Tensor:
    """Rows first to (1, 3, X, Y)."""
    image = np.stack([image] * 3, -1) if image.ndim == 2 else image
    return torch.from_numpy(image.transpose(2, 1, 0)[None].copy()).float()


# method, least gain in dB over the noisy grey and colour image at sigma 25; measured 17.0, 10.8 and 14.7, 7.8
GAINS = [(one_thread_bm3d, 16.0, 10.0), (NonLocalMeansDenoiser, 13.5, 7.0)]


@pytest.mark.parametrize(("method", "grey_gain", "colour_gain"), GAINS)
def test_denoises_real_images_by_a_known_margin(grey, colour, method, grey_gain, colour_gain):
    for clean, gain in ((grey, grey_gain), (colour, colour_gain)):
        x, y = as_batch(noisy_copy(clean)), as_batch(clean)
        result = method()(x, noise_level=torch.tensor([LEVEL]))
        assert result.shape == x.shape and result.dtype == x.dtype
        assert psnr(result, y) > psnr(x, y) + gain


def test_grey_runs_in_one_channel_and_colour_in_three(grey, colour):
    noisy = noisy_copy(grey)
    result = one_thread_bm3d()(as_batch(noisy).double(), LEVEL)[0].numpy()
    np.testing.assert_allclose(result[0], bm3d.bm3d(np.float32(noisy.T).astype(float), LEVEL, PROFILE), atol=1e-5)
    assert (result[0] == result[1]).all() and (result[0] == result[2]).all()
    noisy = noisy_copy(colour)
    result = one_thread_bm3d()(as_batch(noisy).double(), LEVEL)[0].numpy()
    expected = bm3d.bm3d_rgb(np.float32(noisy.transpose(1, 0, 2)).astype(float), LEVEL, PROFILE)
    np.testing.assert_allclose(result, expected.transpose(2, 0, 1), atol=1e-5)


def test_a_grey_image_with_three_draws_is_averaged_first(grey):
    copies = np.stack([grey] * 3, -1)
    x, y = as_batch(noisy_copy(copies)), as_batch(grey)
    result = one_thread_bm3d()(x, noise_level=LEVEL / np.sqrt(3), grayscale=torch.tensor([True]))
    assert torch.equal(result[0, 0], result[0, 2])
    # Averaging takes off 4.8 dB of noise before BM3D starts.
    single = one_thread_bm3d()(as_batch(noisy_copy(grey)), noise_level=LEVEL)
    assert psnr(result, y) > psnr(single, y) + 1.0


def test_one_batch_holds_grey_and_colour_with_their_own_levels(grey, colour):
    x = torch.cat([as_batch(noisy_copy(grey[:64, :64])), as_batch(colour)])
    result = one_thread_bm3d()(x, noise_level=torch.tensor([LEVEL, 0.0]), grayscale=torch.tensor([True, False]))
    assert psnr(result[:1], as_batch(grey[:64, :64])) > 30
    torch.testing.assert_close(result[1], x[1])  # no noise, nothing to do


def test_colour_without_an_opponent_channel_stays_finite(colour):
    purple = colour * [1.0, 0.0, 1.0]
    noisy = purple + LEVEL * np.random.default_rng(0).normal(size=colour.shape[:2])[..., None] * [1.0, 0.0, 1.0]
    noisy[..., 2] = noisy[..., 0]
    result = one_thread_bm3d()(as_batch(noisy), LEVEL, grayscale=False)
    assert bool(result.isfinite().all())


def test_refused_arguments():
    with pytest.raises(ValueError, match="at least 16 pixels"):
        one_thread_bm3d()(torch.rand(1, 3, 8, 8), LEVEL)
    with pytest.raises(ValueError, match="shape"):
        one_thread_bm3d()(torch.rand(1, 2, 32, 32), LEVEL)
    with pytest.raises(ValueError, match="noise level"):
        one_thread_bm3d()(torch.rand(1, 3, 32, 32), float("nan"))
    with pytest.raises(ValueError, match=r"bm3d.*got 'bm4d'"):
        reference_methods(["bm4d"])


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bm3d_reference, "has_bm3d", False)
    with pytest.raises(ImportError, match=r"non-commercial.*pip install noisewise\[bm3d\]"):
        reference_methods(["noisy", "bm3d"])


def test_author_code_noise_is_denoised_about_its_mean(grey):
    """Without it, the offset of s / 4 alone, 18.7 grey levels at 75, would hold BM3D below 23 dB."""
    x, y = as_batch(grey), as_batch(grey)
    record = NoiseRecord("gaussian", 75, 1, "author_code")
    noisy = simulate_noise(x[0], record)[None]
    level = 75 / 255 / 2 / np.sqrt(12 * 3)
    told = one_thread_bm3d()(noisy, level, grayscale=True, noise=record.as_dict())
    untold = one_thread_bm3d()(noisy, level, grayscale=True)
    assert psnr(told, y) > 38 > 23 > psnr(untold, y)
