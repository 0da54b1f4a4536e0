# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From files to files: values that the network halves are halved in the unit of the file, as other programs read it."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.pipelines.denoising import jobs, noise_map
from noisewise.pipelines.denoising.jobs import read_source, run_job
from noisewise.pipelines.denoising.settings import DenoisingSettings
from noisewise.pipelines.denoising.sources import find_sources
from noisewise.pipelines.formats import FormatError, dicom
from noisewise.transforms import limit_outside

pytestmark = pytest.mark.usefixtures("halving")

# An oblique, anisotropic, flipped geometry.
AFFINE = np.array([[-0.7, 0.1, 0, 11], [0.1, 0.8, 0.2, -7], [0, -0.2, 2.5, 3.5], [0, 0, 0, 1]])


def ramp(dtype, *shape, low=0, high=1000):
    return np.linspace(low, high, int(np.prod(shape))).reshape(shape).astype(dtype)


def half(values, low, high, rows_and_columns=(-2, -1)):
    """What the halving engine removes: half of what it sees of the values, outside the range as well."""
    slices = np.moveaxis((np.asarray(values, np.float64) - low) / (high - low), rows_and_columns, (-2, -1))
    seen = limit_outside(torch.from_numpy(slices.reshape(-1, 1, *slices.shape[-2:])).float()).numpy()
    return np.moveaxis(seen.reshape(slices.shape), (-2, -1), rows_and_columns) * (high - low) / 2


def halved(values, low, high, rows_and_columns=(-2, -1)):
    """The result of the halving engine: plateaus far outside the range keep their distance from it."""
    return values - half(values, low, high, rows_and_columns)


def through(source, output, **options):
    options = DenoisingSettings(**options)
    (found,) = find_sources(source, output, options.noise_map, options.audit).sources
    return run_job(found, options)


def series(folder, count=3, rows=16, columns=12):
    """A small oblique CT series whose file names are not in the order of its slices."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.ImageOrientationPatient = [0.8, 0.6, 0, -0.6, 0.8, 0]
    dataset.PixelSpacing, dataset.SeriesInstanceUID = [0.5, 0.75], "1.2.3.4"
    del dataset.DataSetTrailingPadding
    dataset.Rows, dataset.Columns, dataset.RescaleSlope, dataset.RescaleIntercept = rows, columns, 2, -1024
    for number in range(count):
        dataset.ImagePositionPatient, dataset.InstanceNumber = [-10, 20, 30 + 2.5 * number], number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number + 1}"
        dataset.PixelData = (ramp(np.int16, rows, columns) + 20 * number).tobytes()
        dataset.save_as(folder / f"{(number * 2) % count}.dcm")
    return folder


def hounsfield(path):
    dataset = pydicom.dcmread(path)
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def test_eight_bit_picture(tmp_path):
    pixels = ramp(np.uint8, 10, 12, high=200)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    record = through(tmp_path / "a.png", tmp_path / "b.png")
    after = np.asarray(Image.open(tmp_path / "b.png"))
    np.testing.assert_array_equal(after, np.rint(pixels - pixels / 2))
    assert record.slices == 1 and record.removed == pytest.approx((pixels / 2).std(), rel=1e-5)
    assert record.removed_share == pytest.approx((pixels / 2).std() / 255, rel=1e-5)
    assert record.model == "multimodal_denoising" and record.unit == "" and record.lost == []


def test_sixteen_bit_tiff_is_mapped_to_its_percentile(tmp_path):
    pixels = ramp(np.uint16, 4, 10, 12, high=3000)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    record = through(tmp_path / "a.tif", tmp_path / "b.tif")
    expected = halved(pixels.astype(float), 0, np.percentile(pixels, 99.9))
    np.testing.assert_allclose(tifffile.imread(tmp_path / "b.tif"), expected, atol=0.51)
    assert record.slices == 4


def test_black_is_white_in_a_negative(tmp_path):
    pixels = ramp(np.uint8, 10, 12, high=255)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    through(tmp_path / "a.tif", tmp_path / "b.tif")
    brightness = 255 - tifffile.imread(tmp_path / "b.tif").astype(float)
    np.testing.assert_allclose(brightness, (255 - pixels.astype(float)) / 2, atol=0.51)


def test_nifti_in_its_own_unit(tmp_path):
    image = nibabel.Nifti1Image(ramp(np.int16, 8, 9, 5), AFFINE)
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "a.nii.gz")
    before = nibabel.load(tmp_path / "a.nii.gz").get_fdata()
    through(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    after = nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(after.get_fdata(), halved(before, 0, np.percentile(before, 99.9), (0, 1)), atol=0.26)
    np.testing.assert_array_equal(after.affine, nibabel.load(tmp_path / "a.nii.gz").affine)


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [({"modality": "ct"}, -1000, 1000), ({"intensity_range": (-200.0, 300.0)}, -200, 300)],
)
def test_stated_values_override_the_rule(tmp_path, options, low, high):
    voxels = ramp(np.float32, 8, 9, 5, low=-1200, high=1500)
    nibabel.Nifti1Image(voxels, AFFINE).to_filename(tmp_path / "a.nii")
    with pytest.raises(FormatError, match=r"a\.nii: \d+% of its intensities are negative"):
        through(tmp_path / "a.nii", tmp_path / "b.nii")
    assert not (tmp_path / "b.nii").exists()
    through(tmp_path / "a.nii", tmp_path / "b.nii", **options)
    expected = halved(voxels, low, high, (0, 1))
    np.testing.assert_allclose(nibabel.load(tmp_path / "b.nii").get_fdata(), expected, atol=1e-3)


def test_dicom_series_in_hounsfield_units(tmp_path):
    folder = series(tmp_path / "in")
    record = through(folder, tmp_path / "out")
    for path in sorted(folder.iterdir()):
        np.testing.assert_allclose(
            hounsfield(tmp_path / "out" / path.name), halved(hounsfield(path), -1000, 1000), atol=1.01
        )
    assert record.unit == "HU" and record.slices == 3 and len(record.inputs) == 3


def test_frozen_pixels_and_the_stored_range_of_the_reader_are_kept(tmp_path, monkeypatch):
    pixels = ramp(np.uint16, 2, 10, 12, high=1000)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    frozen = np.zeros(pixels.shape, bool)
    frozen[:, 2:4] = True
    before = jobs.read_stack

    def read(*arguments):
        stack = before(*arguments)
        stack.frozen, stack.stored_range = frozen, (200, 900)
        return stack

    monkeypatch.setattr(jobs, "read_stack", read)
    through(tmp_path / "a.tif", tmp_path / "b.tif", intensity_range=(0.0, 1000.0))
    after = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(after[frozen], pixels[frozen])
    bright = ~frozen & (pixels >= 200)
    np.testing.assert_allclose(after[bright], np.maximum(pixels[bright] / 2, 200), atol=0.51)


def test_half_the_strength_removes_half(tmp_path):
    pixels = ramp(np.uint8, 10, 12, high=200)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    through(tmp_path / "a.png", tmp_path / "b.png", strength=0.5)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), np.rint(pixels - pixels / 4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("level", [0, 9])
def test_an_image_without_contrast_is_unchanged(tmp_path, dtype, level):
    nibabel.Nifti1Image(np.full((6, 7, 3), level, dtype), AFFINE).to_filename(tmp_path / "a.nii")
    record = through(tmp_path / "a.nii", tmp_path / "b.nii", noise_map=True)
    assert (tmp_path / "b.nii").read_bytes() == (tmp_path / "a.nii").read_bytes()
    assert record.removed == 0 and not nibabel.load(tmp_path / "b_removed.nii.gz").get_fdata().any()


# The noise map ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", [False, True])
def test_noise_map_of_a_picture(tmp_path, color):
    pixels = ramp(np.uint8, 10, 12, *((3,) if color else ()), high=255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    through(tmp_path / "a.png", tmp_path / "b.png", noise_map=True)
    removed = tifffile.imread(tmp_path / "b_removed.tif")
    assert removed.dtype == np.float32
    np.testing.assert_allclose(removed, pixels / 2, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 5), (8, 9, 1), (8, 9, 3, 2)])
@pytest.mark.parametrize("axis", [None, 0])
def test_noise_map_of_a_nifti_has_the_geometry_of_the_image(tmp_path, shape, axis):
    image = nibabel.Nifti1Image(ramp(np.int16, *shape), AFFINE)
    image.header.set_slope_inter(0.5, 0)
    image.to_filename(tmp_path / "a.nii")
    through(tmp_path / "a.nii", tmp_path / "b.nii", noise_map=True, slice_axis=axis)
    before, removed = nibabel.load(tmp_path / "a.nii"), nibabel.load(tmp_path / "b_removed.nii.gz")
    assert removed.get_data_dtype() == np.float32 and removed.shape == shape
    high = np.percentile(before.get_fdata(), 99.9)
    rows_and_columns = (0, 1) if axis is None else (1, 2)
    if len(shape) == 2:
        rows_and_columns = (0, 1)
    np.testing.assert_allclose(removed.get_fdata(), half(before.get_fdata(), 0, high, rows_and_columns), atol=1e-3)
    np.testing.assert_allclose(removed.affine, before.affine, atol=1e-6)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_noise_map_of_metaimage_and_nrrd_has_the_geometry_of_the_image(tmp_path, name):
    image = SimpleITK.GetImageFromArray(ramp(np.int16, 5, 9, 8))
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((-3.0, 20.0, 7.0))
    image.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    through(tmp_path / name, tmp_path / f"b{name[1:]}", noise_map=True)
    removed = SimpleITK.ReadImage(str(tmp_path / "b_removed.nii.gz"))
    for field in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
        np.testing.assert_allclose(getattr(removed, field)(), getattr(image, field)(), atol=1e-5)
    voxels = SimpleITK.GetArrayFromImage(image)
    expected = half(voxels, 0, np.percentile(voxels, 99.9))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(removed), expected, atol=1e-3)


def test_noise_map_of_a_series_has_the_geometry_of_the_series(tmp_path):
    folder = series(tmp_path / "in")
    through(folder, tmp_path / "out", noise_map=True)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    before = reader.Execute()
    removed = SimpleITK.ReadImage(str(tmp_path / "out" / "0_removed.nii.gz"))
    for field in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
        np.testing.assert_allclose(getattr(removed, field)(), getattr(before, field)(), atol=1e-4)
    expected = half(SimpleITK.GetArrayFromImage(before), -1000, 1000)
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(removed), expected, atol=1e-2)


# The audit --------------------------------------------------------------------------------------------------------


def test_the_slice_that_needs_the_most_attention_is_drawn(tmp_path):
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 4, (3, 48, 40))
    voxels[1, 10:30, 10:30] += 900  # Half of it is removed, which is not noise.
    tifffile.imwrite(tmp_path / "a.tif", voxels.astype(np.uint16), photometric="minisblack")
    found = find_sources(tmp_path / "a.tif", tmp_path / "b.tif", audit=True)
    record = run_job(found.sources[0], DenoisingSettings(audit=True, intensity_range=(0.0, 1000.0)))
    audit = record.summary()["audit"]
    assert audit["slices"] == 3 and audit["worst_slice"] == audit["shown_slice"] == 1
    assert audit["shown"]["std"] == pytest.approx((voxels[1] / 2).std(), rel=1e-3)
    assert any(warning.endswith("of 3 slices") for warning in audit["warnings"])
    json.dumps(audit, allow_nan=False)
    with Image.open(tmp_path / "b_audit" / "pictures" / "a.tif.png") as picture:
        assert picture.format == "PNG" and picture.width > 500


def test_the_audit_of_a_single_image_is_reported_in_full(tmp_path):
    pixels = np.zeros((48, 40), np.uint8)
    pixels[10:30, 10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    audit = through(tmp_path / "a.png", tmp_path / "b.png", audit=True).audit
    assert audit["warnings"] and audit["warnings"] == audit["shown"]["warnings"]


def test_the_correlated_noise_of_ct_gives_no_warning(tmp_path):
    noise = np.random.default_rng(0).normal(0, 1, (64, 64))
    smooth = 30 * noise + 40 * np.roll(noise, 1, axis=0)  # Half of it is removed.
    tifffile.imwrite(tmp_path / "a.tif", smooth.astype(np.float32))
    warnings = {
        modality: through(
            tmp_path / "a.tif", tmp_path / f"{modality}.tif", audit=True, modality=modality,
            intensity_range=(-1000.0, 1000.0),
        ).audit["warnings"]
        for modality in ("ct", "mri")
    }  # fmt: skip
    assert any("alike" in each for each in warnings["mri"])
    assert not any("alike" in each for each in warnings["ct"])


def test_the_audit_says_the_same_at_every_strength(tmp_path):
    pixels = np.random.default_rng(0).normal(0.4, 0.05, (64, 64))
    pixels[20:40, 20:40] += 0.3
    tifffile.imwrite(tmp_path / "a.tif", pixels.astype(np.float32))
    audits = [
        through(
            tmp_path / "a.tif", tmp_path / f"{strength}.tif", audit=True, strength=strength, intensity_range=(0.0, 1.0)
        ).audit
        for strength in (1.0, 0.7, 0.3, 0.05)
    ]
    for audit in audits[1:]:
        assert audit["warnings"] == audits[0]["warnings"] != []
        assert audit["std"] == pytest.approx(audits[0]["std"], rel=1e-4)
        assert audit["structure_correlation"] == pytest.approx(audits[0]["structure_correlation"], abs=1e-3)


# Failures ---------------------------------------------------------------------------------------------------------


def test_the_good_files_of_a_series_are_denoised(tmp_path):
    folder = series(tmp_path / "in", count=5)
    bad = folder / "4.dcm"  # In the middle: without it, there is a gap.
    bad.write_bytes(bad.read_bytes()[:-100])
    record = through(folder, tmp_path / "out", noise_map=True)
    assert [path for path, _ in record.lost] == [str(bad)]
    names = ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*names, "0_removed.nii.gz"])
    assert sorted(path.name for path in record.source.outputs) == names == sorted(path.name for path in record.inputs)
    for name in names:
        np.testing.assert_allclose(
            hounsfield(tmp_path / "out" / name), halved(hounsfield(folder / name), -1000, 1000), atol=1.01
        )


def test_an_odd_slice_is_named_and_the_others_are_denoised(tmp_path):
    folder = series(tmp_path / "in", count=5)
    odd, bad = folder / "4.dcm", folder / "1.dcm"
    dataset = pydicom.dcmread(odd)
    dataset.Rows, dataset.PixelData = 8, ramp(np.int16, 8, 12).tobytes()
    dataset.save_as(odd)
    record = through(folder, tmp_path / "out")
    assert record.lost == [(str(odd), "has another Rows than the other files of its series.")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    bad.write_bytes(bad.read_bytes()[:-100])
    record = through(folder, tmp_path / "again")
    assert sorted(path for path, _ in record.lost) == sorted(map(str, (odd, bad)))
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["0.dcm", "2.dcm", "3.dcm"]


def test_each_file_of_a_series_without_a_good_file_is_named(tmp_path):
    folder = series(tmp_path / "in")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    (source,) = find_sources(folder, tmp_path / "out").sources
    with pytest.raises(ExceptionGroup) as caught:
        read_source(source, DenoisingSettings())
    assert {error.path for error in caught.value.exceptions} == {str(path) for path in folder.iterdir()}


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_failure_removes_files_that_were_written_before_it(tmp_path, monkeypatch):
    folder = series(tmp_path / "in")
    monkeypatch.setattr(noise_map, "write_noise_map", full_disk)
    with pytest.raises(OSError, match="No space left"):
        through(folder, tmp_path / "out", noise_map=True)
    assert not list((tmp_path / "out").iterdir())


def test_a_failure_keeps_files_that_existed_before(tmp_path, monkeypatch):
    folder, out = series(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / "0.dcm").write_bytes(b"old")
    before = dicom.read_dicom

    def read(*arguments):
        stack = before(*arguments)
        stack.write = full_disk
        return stack

    monkeypatch.setattr(dicom, "read_dicom", read)
    with pytest.raises(OSError, match="No space left"):
        through(folder, out)
    assert [path.read_bytes() for path in out.iterdir()] == [b"old"]


def test_the_writer_gets_the_settings_of_the_denoising(tmp_path, monkeypatch):
    Image.fromarray(ramp(np.uint8, 10, 12)).save(tmp_path / "a.png")
    told = []
    before = jobs.read_stack

    def read(*arguments):
        stack = before(*arguments)
        stack.write = lambda stack, *_: told.append(stack.derivation)
        return stack

    monkeypatch.setattr(jobs, "read_stack", read)
    through(tmp_path / "a.png", tmp_path / "b.png", strength=0.25)
    ((settings),) = told
    assert settings.model == "multimodal_denoising" and settings.strength == 0.25
    assert settings.intensity_range == (0, 255) and settings.precision == "float32"
    assert len(settings.weights) == 64


def test_nan_stays_nan_and_infinity_is_refused(tmp_path):
    voxels = ramp(np.float32, 8, 9, 5)
    voxels[:3] = np.nan
    nibabel.Nifti1Image(voxels, AFFINE).to_filename(tmp_path / "a.nii")
    through(tmp_path / "a.nii", tmp_path / "b.nii")
    result = np.asarray(nibabel.load(tmp_path / "b.nii").dataobj)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(voxels))
    voxels[4, 4, 4] = np.inf
    nibabel.Nifti1Image(voxels, AFFINE).to_filename(tmp_path / "c.nii")
    with pytest.raises(FormatError, match=r"c\.nii: 1 of 360 values are infinite"):
        through(tmp_path / "c.nii", tmp_path / "d.nii")
