# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading images of every format, and refusing what cannot be used."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
import torch
from monai.data import MetaTensor
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.transforms import ImageReadError, LoadMedicalImage, LoadMedicalImaged, drop_equal_channels
from noisewise.transforms.load import DicomReader

RNG = np.random.default_rng(0)
# Rows x columns differ, so that a swap of the axes shows.
GRAY8 = RNG.integers(0, 256, (20, 30), dtype="uint8")
GRAY16 = RNG.integers(0, 65536, (20, 30), dtype="uint16")
RGB8 = RNG.integers(0, 256, (20, 30, 3), dtype="uint8")
RGB16 = RNG.integers(0, 65536, (20, 30, 3), dtype="uint16")
FLOAT = RNG.normal(size=(20, 30)).astype("float32")


def save_png(path, array):
    Image.fromarray(array).save(path)


def save_binary(path, array):
    Image.fromarray(array > 127).convert("1").save(path)


# name, how it is written, the array (rows, columns[, colors]), the dtype on file
EXACT = [
    ("gray8.png", save_png, GRAY8, "uint8"),
    ("gray16.png", save_png, GRAY16, "uint16"),
    ("rgb8.png", save_png, RGB8, "uint8"),
    ("UPPER.PNG", save_png, GRAY8, "uint8"),
    ("gray8.bmp", save_png, GRAY8, "uint8"),
    ("gray8.tif", tifffile.imwrite, GRAY8, "uint8"),
    ("gray16.tiff", tifffile.imwrite, GRAY16, "uint16"),
    ("float.tif", tifffile.imwrite, FLOAT, "float32"),
    ("rgb8.tif", tifffile.imwrite, RGB8, "uint8"),
    ("rgb16.tif", tifffile.imwrite, RGB16, "uint16"),
]


@pytest.mark.parametrize(("name", "save", "array", "dtype"), EXACT, ids=[case[0] for case in EXACT])
def test_flat_images_are_read_exactly(tmp_path, name, save, array, dtype):
    save(tmp_path / name, array)
    image = LoadMedicalImage()(tmp_path / name)
    expected = np.moveaxis(np.atleast_3d(array), (0, 1, 2), (2, 1, 0)).astype("float32")
    assert isinstance(image, MetaTensor) and image.dtype == torch.float32
    assert image.shape == expected.shape == ((array.shape[2] if array.ndim == 3 else 1), 30, 20)
    np.testing.assert_array_equal(image.numpy(), expected)
    assert image.meta["stored_dtype"] == dtype
    assert image.meta["original_channel_dim"] == 0
    assert image.meta["filename_or_obj"] == str(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_jpeg(tmp_path, name, shape):
    smooth = np.broadcast_to(np.linspace(0, 255, 30)[None, :, *[None] * (len(shape) - 2)], shape).astype("uint8")
    Image.fromarray(smooth).save(tmp_path / name, quality=95)
    image = LoadMedicalImage()(tmp_path / name)
    assert image.shape == (shape[2] if len(shape) == 3 else 1, 30, 20)
    np.testing.assert_allclose(image[0, :, 0].numpy(), np.linspace(0, 255, 30), atol=8)


def test_palette_is_expanded_to_its_colors(tmp_path):
    picture = Image.fromarray(RGB8 // 64 * 64).quantize(64)
    picture.save(tmp_path / "p.png")
    image = LoadMedicalImage()(tmp_path / "p.png")
    np.testing.assert_array_equal(image.numpy(), np.moveaxis(np.array(picture.convert("RGB")), (0, 1, 2), (2, 1, 0)))


def test_packed_bits_become_black_and_white(tmp_path):
    save_binary(tmp_path / "b.png", GRAY8)
    image = LoadMedicalImage()(tmp_path / "b.png")
    assert sorted(image.unique().tolist()) == [0, 255]
    assert image.meta["stored_dtype"] == "uint8"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", ">i2"])
def test_nifti_volume_and_its_slices(tmp_path, suffix, dtype):
    volume = RNG.integers(0, 200, (12, 14, 5)).astype(dtype)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / f"v{suffix}")
    image = LoadMedicalImage()(tmp_path / f"v{suffix}")
    assert image.shape == (1, 12, 14, 5)
    np.testing.assert_array_equal(image[0].numpy(), volume)
    assert image.meta["stored_dtype"] == np.dtype(dtype).name
    np.testing.assert_array_equal(LoadMedicalImage()(tmp_path / f"v{suffix}", 3)[0].numpy(), volume[..., 3])


@pytest.mark.parametrize("shape", [(12, 14), (12, 14, 1)])
def test_flat_nifti(tmp_path, shape):
    array = RNG.normal(size=shape).astype("float32")
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "f.nii")
    image = LoadMedicalImage()(tmp_path / "f.nii")
    assert image.shape == (1, 12, 14)
    np.testing.assert_array_equal(image[0].numpy(), array.reshape(12, 14))


@pytest.fixture
def ct_file() -> str:
    """CT_small.dcm: a CT slice of 128 x 128 pixels in HU - intercept, that comes with pydicom."""
    return get_testdata_file("CT_small.dcm", download=False)


def test_dicom_is_read_in_hu(ct_file):
    image = LoadMedicalImage()(ct_file)
    header = pydicom.dcmread(ct_file)
    assert float(header.RescaleIntercept) == -1024
    expected = header.pixel_array.T * float(header.RescaleSlope) + float(header.RescaleIntercept)
    np.testing.assert_array_equal(image[0].numpy(), expected)


def test_dicom_without_suffix_is_known_by_its_preamble(tmp_path, ct_file):
    shutil.copy(ct_file, tmp_path / "IM0001")
    assert LoadMedicalImage()(tmp_path / "IM0001").shape == (1, 128, 128)


def test_big_endian_dicom(ct_file):
    path = get_testdata_file("MR_small_bigendian.dcm", download=False)
    image = LoadMedicalImage()(path)
    np.testing.assert_array_equal(image[0].numpy(), pydicom.dcmread(path).pixel_array.T)
    assert image.meta["stored_dtype"] == "int16"


@pytest.mark.parametrize(("slope", "intercept", "dtype"), [(1, 0, "int16"), (2, 0, "float64"), (1, -5, "float64")])
def test_stored_dtype_of_dicom_with_a_rescale(tmp_path, ct_file, slope, intercept, dtype):
    header = pydicom.dcmread(ct_file)
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    header.save_as(tmp_path / "a.dcm")
    image = LoadMedicalImage()(tmp_path / "a.dcm")
    assert image.meta["stored_dtype"] == dtype
    np.testing.assert_array_equal(image[0].numpy(), header.pixel_array.T * float(slope) + intercept)


@pytest.fixture
def series(tmp_path, ct_file):
    """A folder with one series of four slices, named against their order."""
    (tmp_path / "series").mkdir()
    for z in range(4):
        header = pydicom.dcmread(ct_file)
        header.ImagePositionPatient = [0, 0, 5 * z]
        header.InstanceNumber = z + 1
        header.PixelData = (header.pixel_array + z).astype("int16").tobytes()
        header.save_as(tmp_path / "series" / f"{9 - z}.dcm")
    return tmp_path / "series"


def test_dicom_folder_is_one_volume(series, ct_file):
    volume = LoadMedicalImage()(series)
    single = LoadMedicalImage()(ct_file)
    assert volume.shape == (1, 128, 128, 4)
    for z in range(4):
        np.testing.assert_array_equal(volume[..., z].numpy(), single.numpy() + z)


def test_a_folder_of_two_series_is_refused(series):
    header = pydicom.dcmread(series / "9.dcm")
    header.SeriesInstanceUID = "1.2.3"
    header.InstanceNumber = 9
    header.save_as(series / "other.dcm")
    with pytest.raises(ImageReadError, match="holds 2 DICOM series"):
        LoadMedicalImage()(series)


def write_rgba(path):
    Image.fromarray(RNG.integers(0, 256, (20, 30, 4), dtype="uint8")).save(path)


def write_nan(path):
    array = np.ones((8, 8), "float32")
    array[3, 3] = np.nan
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)


def write_infinite(path):
    tifffile.imwrite(path, np.full((8, 8), np.inf, "float32"))


def write_truncated(path):
    save_png(path, GRAY16)
    path.write_bytes(path.read_bytes()[:400])


def write_4d(path):
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4, 3), "float32"), np.eye(4)), path)


def write_pages(path):
    tifffile.imwrite(path, np.zeros((6, 20, 30), "uint8"))


def write_video(path):
    header = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    header.NumberOfFrames = 2
    header.save_as(path)


# name, how it is written, what the message must say
REFUSED = [
    ("rgba.png", write_rgba, "has 4 channels"),
    ("nan.nii", write_nan, "NaN or infinite"),
    ("infinite.tif", write_infinite, "NaN or infinite"),
    ("truncated.png", write_truncated, "cannot be read as an image"),
    ("empty.png", lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
    ("text.png", lambda path: path.write_text("no image"), "cannot be read as an image"),
    ("text.dcm", lambda path: path.write_text("no image" * 50), "cannot be read as an image"),
    ("notes.txt", lambda path: path.write_text("no image" * 50), "not a PNG, JPEG"),
    ("missing.png", lambda path: None, "no such file"),
    ("fmri.nii", write_4d, "4 dimensions"),
    ("pages.tif", write_pages, "multi-page TIFF"),
    ("video.dcm", write_video, "multi-frame DICOM"),
]


@pytest.mark.parametrize(("name", "write", "cause"), REFUSED, ids=[case[0] for case in REFUSED])
def test_unusable_files_are_refused_by_name_and_cause(tmp_path, name, write, cause):
    write(tmp_path / name)
    with pytest.raises(ImageReadError, match=cause) as caught:
        LoadMedicalImage()(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert caught.value.path == str(tmp_path / name)


@pytest.mark.parametrize(("index", "cause"), [(5, "the volume has 5"), (-1, "the volume has 5")])
def test_a_slice_that_is_not_there(tmp_path, index, cause):
    nib.save(nib.Nifti1Image(np.ones((8, 8, 5), "float32"), np.eye(4)), tmp_path / "v.nii")
    with pytest.raises(ImageReadError, match=cause):
        LoadMedicalImage()(tmp_path / "v.nii", index)


def test_a_slice_of_a_flat_image(tmp_path):
    save_png(tmp_path / "a.png", GRAY8)
    with pytest.raises(ImageReadError, match="this is not a volume"):
        LoadMedicalImage()(tmp_path / "a.png", 0)


def test_dictionary_version_reads_each_key_and_its_slice(tmp_path):
    volume = RNG.normal(size=(8, 9, 5)).astype("float32")
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii")
    item = {"image": str(tmp_path / "v.nii"), "target": str(tmp_path / "v.nii"), "slice": 2, "modality": "mri"}
    read = LoadMedicalImaged(["image", "target"])(item)
    np.testing.assert_array_equal(read["image"][0].numpy(), volume[..., 2])
    np.testing.assert_array_equal(read["target"][0].numpy(), volume[..., 2])
    assert read["modality"] == "mri" and isinstance(item["image"], str)
    assert LoadMedicalImaged(["image", "none"], allow_missing_keys=True)(item)["image"].shape == (1, 8, 9)


def test_equal_channels_become_one_where_the_manifest_says_so(tmp_path):
    save_png(tmp_path / "equal.png", np.stack([GRAY8] * 3, -1))
    save_png(tmp_path / "rgb.png", RGB8)
    load = LoadMedicalImaged("image")
    gray = load({"image": tmp_path / "equal.png", "channels": 1})["image"]
    assert gray.shape == (1, 30, 20) and isinstance(gray, MetaTensor)
    np.testing.assert_array_equal(gray[0].numpy(), GRAY8.T)
    assert load({"image": tmp_path / "equal.png", "channels": 3})["image"].shape == (3, 30, 20)
    assert load({"image": tmp_path / "equal.png"})["image"].shape == (3, 30, 20)
    with pytest.raises(ImageReadError, match="has 3 channels, the manifest says 1"):
        load({"image": tmp_path / "rgb.png", "channels": 1})
    save_png(tmp_path / "gray.png", GRAY8)
    with pytest.raises(ImageReadError, match="has 1 channels, the manifest says 3"):
        load({"image": tmp_path / "gray.png", "channels": 3})


def test_drop_equal_channels():
    gray = torch.rand(1, 4, 5)
    assert torch.equal(drop_equal_channels(gray.repeat(3, 1, 1)), gray)
    assert drop_equal_channels(torch.rand(3, 4, 5)).shape == (3, 4, 5)
    assert drop_equal_channels(gray) is gray


def test_other_dtypes(tmp_path):
    save_png(tmp_path / "a.png", GRAY8)
    assert LoadMedicalImage(torch.float64)(tmp_path / "a.png").dtype == torch.float64


def test_only_one_thread_at_a_time_makes_pydicom_strict(monkeypatch):
    before, locked = pydicom.Dataset.to_json_dict, []

    def to_json_dict(self, *args, **kwargs):
        locked.append(DicomReader.lock.locked())
        return before(self, *args, **kwargs)

    monkeypatch.setattr(pydicom.Dataset, "to_json_dict", to_json_dict)
    LoadMedicalImage()(get_testdata_file("CT_small.dcm"))
    assert locked and all(locked)
