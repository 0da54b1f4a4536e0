# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What is read and written again unchanged equals the input file, pixel by pixel, as other programs read it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
import torch
from monai.data import MetaTensor
from PIL import ExifTags, Image
from pydicom.data import get_testdata_file

from noisewise.transforms import LoadMedicalImaged, SaveDenoisedd, denoised_path, save_like_input

# Rows and columns differ, so that a transposed image cannot pass.
ROWS, COLUMNS = 12, 9
# An oblique, anisotropic, flipped geometry.
AFFINE = np.array([[-0.7, 0.1, 0, 11], [0.1, 0.8, 0.2, -7], [0, -0.2, 2.5, 3.5], [0, 0, 0, 1]])


def ramp(dtype, *shape: int) -> np.ndarray:
    values = np.random.RandomState(0).rand(*shape)
    dtype = np.dtype(dtype)
    return (values * (1 if dtype.kind == "f" else np.iinfo(dtype).max)).astype(dtype)


def through(path, output, change=lambda image: image, **options):
    """Read a file, change the image, save it; returns the output's path."""
    item = LoadMedicalImaged("image")({"image": str(path)})
    item["pred"] = change(item["image"]).as_tensor()  # without meta data, as a network may leave it
    return SaveDenoisedd("pred", output, **options)(item)["output_path"]


# name, dtype, shape (rows, columns[, colors]), expected name, expected dtype
@pytest.mark.parametrize(
    ("name", "dtype", "shape", "expected"),
    [
        ("gray.png", "uint8", (ROWS, COLUMNS), "gray.png"),
        ("color.png", "uint8", (ROWS, COLUMNS, 3), "color.png"),
        ("deep.PNG", "uint16", (ROWS, COLUMNS), "deep.PNG"),
        ("column.png", "uint8", (ROWS, 1), "column.png"),
        ("old.bmp", "uint8", (ROWS, COLUMNS), "old.png"),
        ("photo.v2.jpg", "uint8", (ROWS, COLUMNS, 3), "photo.v2.png"),
        ("scan.jpeg", "uint8", (ROWS, COLUMNS), "scan.png"),
    ],
)
def test_pictures_come_back_exactly(tmp_path, name, dtype, shape, expected):
    Image.fromarray(ramp(dtype, *shape)).save(tmp_path / name)
    output = through(tmp_path / name, tmp_path / "out")
    assert output == str(tmp_path / "out" / expected)
    with Image.open(tmp_path / name) as before, Image.open(output) as after:
        assert after.mode == before.mode and after.format == "PNG"
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("color", [False, True])
def test_tiff_keeps_its_dtype(tmp_path, dtype, color):
    original = ramp(dtype, ROWS, COLUMNS, *((3,) if color else ()))
    tifffile.imwrite(tmp_path / "a.tiff", original, photometric="rgb" if color else "minisblack", resolution=(300, 150))
    output = through(tmp_path / "a.tiff", tmp_path / "out")
    assert output.endswith("a.tiff")
    with tifffile.TiffFile(output) as after:
        assert after.asarray().dtype == dtype and after.pages[0].get_resolution() == (300, 150)
        np.testing.assert_allclose(after.asarray(), original, rtol=1e-6)


def test_tags_that_say_how_to_look_at_a_picture_are_kept(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "somebody"
    Image.fromarray(ramp("uint8", ROWS, COLUMNS)).save(tmp_path / "a.jpg", exif=exif)
    tifffile.imwrite(
        tmp_path / "b.tif", ramp("uint8", ROWS, COLUMNS), photometric="miniswhite", extratags=[(274, "H", 1, 3, True)]
    )
    with Image.open(through(tmp_path / "a.jpg", tmp_path / "out")) as after:
        assert dict(after.getexif()) == {ExifTags.Base.Orientation: 6}
    with tifffile.TiffFile(through(tmp_path / "b.tif", tmp_path / "out")) as after:
        assert after.pages[0].photometric.name == "MINISWHITE" and after.pages[0].tags.valueof(274) == 3


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 5), (9, 1, 5)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_keeps_shape_and_affine(tmp_path, shape, name):
    original = nib.Nifti1Image(ramp("int16", *shape), AFFINE)
    original.header.set_xyzt_units("micron")
    nib.save(original, tmp_path / name)
    output = through(tmp_path / name, tmp_path / "out")
    after = nib.load(output)
    assert output.endswith(f"out/{name}") and after.shape == shape and after.get_data_dtype() == np.float32
    np.testing.assert_array_equal(after.get_fdata(), original.get_fdata())
    np.testing.assert_array_equal(after.affine, nib.load(tmp_path / name).affine)
    assert after.header.get_xyzt_units()[0] == "micron"


def dicom(path, position, orientation=(1, 0, 0, 0, 1, 0), number=1, series="1.2.3.4"):
    """A real slice with another place."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(position), list(orientation)
    dataset.PixelSpacing, dataset.InstanceNumber, dataset.SeriesInstanceUID = [0.5, 0.8], number, series
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.save_as(path)
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


# row direction, column direction (LPS), expected third axis of the NIfTI (RAS)
@pytest.mark.parametrize(
    ("orientation", "normal"),
    [((1, 0, 0, 0, 1, 0), (0, 0, 1)), ((1, 0, 0, 0, 0, -1), (0, -1, 0)), ((0, 1, 0, 0, 0, -1), (1, 0, 0))],
)
def test_a_dicom_slice_becomes_nifti_in_its_own_unit(tmp_path, orientation, normal):
    stored = dicom(tmp_path / "1.2.840.7", (-10, 20, 30), orientation)
    output = through(tmp_path / "1.2.840.7", tmp_path / "out")
    after = nib.load(output)
    assert output.endswith("1.2.840.7.nii.gz") and after.shape == (128, 128, 1)
    np.testing.assert_array_equal(after.get_fdata()[..., 0], stored.T)
    to_ras = np.diag([-1.0, -1.0, 1.0])
    # The first axis runs along the row, its spacing being the one between columns.
    expected = np.stack([to_ras @ orientation[:3] * 0.8, to_ras @ orientation[3:] * 0.5, normal], 1)
    np.testing.assert_allclose(after.affine[:3, :3], expected, atol=1e-6)
    np.testing.assert_allclose(after.affine[:3, 3], [10, -20, 30])


def test_a_dicom_series_becomes_one_volume(tmp_path):
    folder = tmp_path / "series.dcm"  # a folder's name has no suffix
    folder.mkdir()
    slices = [dicom(folder / f"{n}.dcm", (0, 0, 3.0 * n), number=n) for n in (1, 2, 3)]
    output = through(folder, tmp_path / "out", change=lambda image: image + torch.tensor([0.0, 1.0, 2.0]))
    after = nib.load(output)
    assert output.endswith("series.dcm.nii.gz")
    np.testing.assert_array_equal(after.get_fdata(), np.stack([s.T + n for n, s in enumerate(slices)], -1))
    np.testing.assert_allclose(after.header.get_zooms(), (0.8, 0.5, 3.0))


def test_integers_are_rounded_and_clipped(tmp_path):
    meta = {"stored_dtype": "uint8", "filename_or_obj": str(tmp_path / "a.png")}
    Image.new("L", (4, 1)).save(tmp_path / "a.png")
    values = torch.tensor([[[-3.0], [1.5001], [254.6], [300.0]]])
    path = save_like_input(values, meta, tmp_path / "b.png")
    assert np.asarray(Image.open(path)).tolist() == [[0, 2, 255, 255]]
    path = save_like_input(values * 300, {**meta, "stored_dtype": "uint16"}, tmp_path / "c.png")
    assert np.asarray(Image.open(path)).tolist() == [[0, 450, 65535, 65535]]


def test_names_keep_the_sub_folder_and_can_be_told_apart(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    assert denoised_path(root / "p1" / "a.nii.gz", out, root) == out / "p1" / "a.nii.gz"
    assert denoised_path(root / "p1" / "a.jpg", out, root, keep_suffix=True) == out / "p1" / "a_jpg.png"
    assert denoised_path(tmp_path / "elsewhere" / "a.TIF", out, root) == out / "a.TIF"
    assert denoised_path(root, out, root) == out / "in.nii.gz"


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    Image.fromarray(ramp("uint8", ROWS, COLUMNS)).save(tmp_path / "a.png")
    output = through(tmp_path / "a.png", tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"a\.png: exists already"):
        through(tmp_path / "a.png", tmp_path / "out", change=lambda image: image * 0)
    assert np.asarray(Image.open(output)).any()
    through(tmp_path / "a.png", tmp_path / "out", change=lambda image: image * 0, overwrite=True)
    assert not np.asarray(Image.open(output)).any()


def test_an_input_is_never_replaced(tmp_path):
    Image.fromarray(ramp("uint8", ROWS, COLUMNS)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match=r"a\.png: is the input"):
        through(tmp_path / "a.png", tmp_path, change=lambda image: image * 0, overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    Image.fromarray(ramp("uint8", ROWS, COLUMNS)).save(tmp_path / "a.png")

    def fail(self, path, **_):
        path.write_bytes(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        through(tmp_path / "a.png", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_suffix_of_another_family_is_refused(tmp_path):
    image = MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": "a.png", "stored_dtype": "uint8"})
    with pytest.raises(ValueError, match=r"b\.tif: an image from a\.png is written as \.png"):
        SaveDenoisedd("image", tmp_path)({"image": image, "output_path": tmp_path / "b.tif"})
