# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The loader against an independent reader: same values, same axes, same geometry."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.transforms import LoadMedicalImage

sitk = pytest.importorskip("SimpleITK")


def by_simpleitk(path) -> np.ndarray:
    """The image with axes x, y[, z]; SimpleITK's arrays have them the other way round."""
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return array.transpose(range(array.ndim)[::-1])


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_dicom_in_its_own_unit(name):
    path = get_testdata_file(name, download=False)
    image = LoadMedicalImage()(path)
    np.testing.assert_array_equal(image.numpy()[0], by_simpleitk(path)[..., 0])


def test_a_dicom_folder_is_a_volume_in_slice_order(tmp_path):
    import pydicom

    source = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    for index in range(4):
        source.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[str(index)])
        source.ImagePositionPatient = [-158.1, -179.0, 10.0 + 5 * index]
        source.InstanceNumber = index + 1
        pixels = np.full((source.Rows, source.Columns), 1000 + index, np.int16)
        pixels[3, 5] = 7  # row 3, column 5
        source.PixelData = pixels.tobytes()
        source.save_as(tmp_path / f"{9 - index}.dcm")  # names in the opposite order
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    expected = sitk.GetArrayFromImage(reader.Execute()).transpose(2, 1, 0)
    volume = LoadMedicalImage()(tmp_path).numpy()[0]
    assert volume.shape == expected.shape
    ascending = volume if volume[0, 0, 0] < volume[0, 0, -1] else volume[..., ::-1]
    np.testing.assert_array_equal(ascending, expected)
    assert (volume[5, 3] == volume.min()).all()


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)])
def test_nifti_with_its_affine(tmp_path, shape):
    values = np.random.RandomState(0).randint(-1000, 1000, shape).astype(np.int16)
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([0.5, 0.7, 2.0, 1.0])), path)
    image = LoadMedicalImage()(path)
    np.testing.assert_array_equal(image.numpy()[0], by_simpleitk(path).reshape(shape))
    spacing = sitk.ReadImage(str(path)).GetSpacing()
    np.testing.assert_allclose(np.diag(image.affine)[: len(shape)], spacing[: len(shape)], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path, dtype):
    values = np.random.RandomState(0).randint(0, np.iinfo(dtype).max, (6, 9)).astype(dtype)
    Image.fromarray(values).save(tmp_path / "image.png")
    image = LoadMedicalImage()(tmp_path / "image.png")
    np.testing.assert_array_equal(image.numpy()[0], by_simpleitk(tmp_path / "image.png"))
    assert image[0, 8, 2] == values[2, 8]  # x is the column
