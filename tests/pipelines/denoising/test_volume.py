# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The effect of the shipped weights on a real volume that is denoised slice by slice."""

import numpy as np
import pytest

import noisewise

nilearn_datasets = pytest.importorskip("nilearn.datasets")


@pytest.fixture(scope="module")
def clean():
    """A part of the MNI152 brain, (slices, rows, columns), in [0, 1], with almost no noise."""
    template = nilearn_datasets.load_mni152_template(resolution=2).get_fdata()
    volume = np.moveaxis(template, 2, 0)[36:44, 20:84, 18:82].astype(np.float32)
    return volume / volume.max()


@pytest.fixture(scope="module")
def noisy(clean):
    return clean + np.random.default_rng(0).normal(0, 0.08, clean.shape).astype(np.float32)


@pytest.fixture(scope="module")
def denoised(noisy):
    return noisewise.denoise(noisy, engine="torch")


def test_a_clean_volume_keeps_its_mean_to_a_thousandth(clean):
    result = noisewise.denoise(clean, engine="torch")
    assert abs(result.mean() / clean.mean() - 1) < 1e-3


def test_the_mean_along_z_is_no_rougher_than_before(clean, noisy, denoised):
    def roughness(volume):
        return np.abs(np.diff((volume - clean).mean((1, 2)))).mean()

    assert roughness(denoised) <= roughness(noisy) + 2e-4


def test_the_noise_along_z_is_no_rougher_than_before(clean, noisy, denoised):
    def roughness(volume):
        return np.diff(volume - clean, axis=0).std()

    assert roughness(denoised) < 0.6 * roughness(noisy)
    # Nor is it rougher along z than within the slices, which independent errors of slices would cause.
    assert np.diff(denoised, axis=0).std() <= np.diff(noisy, axis=0).std()


def test_it_is_cleaner(clean, noisy, denoised):
    assert ((denoised - clean) ** 2).mean() < ((noisy - clean) ** 2).mean() / 2
