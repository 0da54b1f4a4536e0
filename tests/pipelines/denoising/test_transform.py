# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import pickle

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged, ScaleIntensityRanged

import noisewise
from noisewise.pipelines.denoising.transform import Denoise, Denoised

RNG = np.random.default_rng(0)


def slice_by_slice(volume, axis):
    """Of a volume (X, Y, Z): the rows of a slice run along the later axis, as those of a file do."""
    slices = [noisewise.denoise(each.T.copy(), engine="torch").T for each in np.moveaxis(volume, axis, 0)]
    return np.moveaxis(np.stack(slices), 0, axis)


def test_it_drops_into_a_pipeline_and_keeps_affine_and_metadata(tmp_path):
    affine = np.array([[0.0, 0, 3, 5], [0.9, 0, 0, -7], [0, 1.1, 0, 2], [0, 0, 0, 1]])
    values = RNG.uniform(0, 1200, (11, 12, 4)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "v.nii.gz")
    pipeline = Compose(
        [
            LoadImaged("image", reader="NibabelReader", ensure_channel_first=True),
            ScaleIntensityRanged("image", 0, 1200, 0, 1),
            Denoised("image", engine="torch"),
        ]
    )
    item = pipeline({"image": str(tmp_path / "v.nii.gz"), "other": 1})
    image = item["image"]
    assert isinstance(image, MetaTensor) and item["other"] == 1
    assert np.allclose(image.affine, affine)
    assert image.meta["filename_or_obj"].endswith("v.nii.gz")
    assert np.abs(image[0].numpy() - slice_by_slice(values / 1200, 2)).max() < 1e-5


@pytest.mark.parametrize("spacing", [(4.0, 1, 1), (1, 4, 1), (1, 1, 4)])
def test_slices_run_along_the_coarsest_spacing(spacing):
    values = RNG.random((6, 7, 8), dtype=np.float32)
    image = MetaTensor(torch.from_numpy(values)[None], affine=torch.diag(torch.tensor([*spacing, 1.0])))
    result = Denoise(engine="torch")(image)
    assert np.abs(result[0].numpy() - slice_by_slice(values, int(np.argmax(spacing)))).max() < 1e-5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_can_be_stated(axis):
    values = RNG.random((5, 6, 7), dtype=np.float32)
    result = Denoise(slice_axis=axis, engine="torch")(values[None])
    assert isinstance(result, np.ndarray)
    assert np.abs(result[0] - slice_by_slice(values, axis)).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 6, 7), (2, 6, 7), (3, 6, 7, 2), (4, 6, 7, 2)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, lambda a: MetaTensor(torch.from_numpy(a))])
def test_every_shape_and_kind_comes_back(shape, kind):
    values = RNG.random(shape, dtype=np.float32)
    image = kind(values)
    result = Denoise(engine="torch")(image)
    assert type(result) is type(image) and result.shape == image.shape and result.dtype == image.dtype
    assert np.array_equal(np.asarray(image), values)


def test_colour_is_colour_and_other_channels_are_grey():
    values = RNG.random((3, 9, 10), dtype=np.float32)
    colour = Denoise(engine="torch")(values)
    assert np.allclose(colour, noisewise.denoise(values.T, engine="torch").T)
    channels = Denoise(engine="torch", color=False)(values)
    assert np.abs(channels[1] - noisewise.denoise(values[1].T, engine="torch").T).max() < 1e-5


def test_it_can_be_sent_to_worker_processes():
    transform = pickle.loads(pickle.dumps(Denoised("image", engine="torch", strength=0.5)))
    values = RNG.random((1, 6, 6), dtype=np.float32)
    assert np.allclose(transform({"image": values})["image"], Denoise(engine="torch", strength=0.5)(values))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="slice_axis"):
        Denoise(slice_axis=3)
    with pytest.raises(ValueError, match="shape"):
        Denoise()(np.zeros((4, 4)))
    with pytest.raises(KeyError):
        Denoised("image")({})
    assert Denoised("image", allow_missing_keys=True)({}) == {}


@pytest.mark.parametrize("axis", [None, 0])
def test_the_result_is_that_of_the_command_on_the_file(tmp_path, axis):
    from noisewise.pipelines.denoising.jobs import run_job
    from noisewise.pipelines.denoising.settings import DenoisingOptions
    from noisewise.pipelines.denoising.sources import find_sources

    values = RNG.uniform(0, 1, (14, 12, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 3, 1])), tmp_path / "in.nii")
    (source,) = find_sources(tmp_path / "in.nii", tmp_path / "out.nii").sources
    run_job(source, DenoisingOptions(engine="torch", intensity_range=(0, 1), slice_axis=axis))
    image = LoadImaged("image", reader="NibabelReader", ensure_channel_first=True)({"image": tmp_path / "in.nii"})
    expected = Denoised("image", engine="torch", slice_axis=axis)(image)["image"][0].numpy()
    assert np.abs(np.asarray(nibabel.load(tmp_path / "out.nii").dataobj) - expected).max() < 1e-6
