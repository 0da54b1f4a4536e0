# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What DICOM files mean: order, units, padding, and the reason why some are refused."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.pixels import decoders
from pydicom.uid import MPEG4HP41, SegmentationStorage

from noisewise.pipelines.formats.dicom import read_dicom
from noisewise.pipelines.formats.stack import FormatError


def numbers(stack) -> list[int]:
    return [pydicom.dcmread(path).InstanceNumber for path in stack.paths]


def test_a_series_is_sorted_along_its_normal(dicom_series):
    stack = read_dicom(dicom_series)
    assert numbers(stack) == [1, 2, 3, 4, 5] and stack.spacing == (2.5, 0.5, 0.75)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(dicom_series[0].parent)))
    np.testing.assert_array_equal(stack.real(), SimpleITK.GetArrayFromImage(reader.Execute()))
    assert (stack.unit, stack.modality, stack.inverted) == ("HU", "ct", False)


def test_the_sense_of_the_normal_orders_the_slices(tmp_path, dicom_slice):
    axes = [1, 0, 0, 0, -1, 0]  # the normal points to the feet
    paths = [dicom_slice(tmp_path / f"{n}", n, ImageOrientationPatient=axes) for n in (1, 2, 3)]
    assert numbers(read_dicom(paths)) == [3, 2, 1]


def test_instance_numbers_order_slices_without_a_place(tmp_path, dicom_slice):
    paths = [dicom_slice(tmp_path / f"{n}", n, ImagePositionPatient=None) for n in (10, 9, 2)]
    assert numbers(read_dicom(paths)) == [2, 9, 10]


def test_slopes_may_differ_from_slice_to_slice(tmp_path, dicom_slice):
    values = {"Modality": "PT", "Units": "BQML", "RescaleIntercept": 0}
    paths = [dicom_slice(tmp_path / f"{n}", n, RescaleSlope=0.5 * n, **values) for n in (2, 1)]
    stack = read_dicom(paths)
    np.testing.assert_array_equal(stack.slope, [0.5, 1.0])
    assert (stack.intercept, stack.unit, stack.modality) == (0.0, "BQML", "pet")
    for path, real in zip(stack.paths, stack.real()):
        np.testing.assert_allclose(real, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))[0])


@pytest.mark.parametrize(
    ("values", "unit", "modality"),
    [
        ({"RescaleType": "HU"}, "HU", "ct"),
        ({"RescaleType": "US"}, "", None),
        ({"RescaleType": "mgml"}, "mgml", None),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "", None),
        ({"Modality": "MR"}, "", "mri"),
        ({"Modality": "DX"}, "", "xray"),
        ({"Modality": "ZZ"}, "", None),
    ],
)
def test_the_unit_is_what_the_file_says(tmp_path, dicom_slice, values, unit, modality):
    stack = read_dicom([dicom_slice(tmp_path / "a", **values)])
    assert (stack.unit, stack.modality) == (unit, modality)


@pytest.mark.parametrize(
    ("signed", "bits", "expected"), [(1, 16, (-32768, 32767)), (0, 12, (0, 4095)), (1, 12, (-2048, 2047))]
)
def test_the_range_of_stored_values(tmp_path, dicom_slice, signed, bits, expected):
    path = dicom_slice(tmp_path / "a", PixelRepresentation=signed, BitsStored=bits, HighBit=bits - 1)
    stack = read_dicom([path])
    assert stack.stored_range == expected and stack.slices.dtype == ("int16" if signed else "uint16")


def test_black_and_white_of_monochrome1_are_swapped(tmp_path, dicom_slice):
    path = dicom_slice(tmp_path / "a", PhotometricInterpretation="MONOCHROME1")
    stack = read_dicom([path])
    assert stack.inverted is True
    np.testing.assert_array_equal(stack.slices[0], pydicom.dcmread(path).pixel_array)


def padded(path, dicom_slice, value, limit=None):
    pixels = np.arange(12 * 9, dtype="<i2").reshape(12, 9)
    pixels[0], pixels[1] = -2000, -1990
    return dicom_slice(path, PixelPaddingValue=value, PixelPaddingRangeLimit=limit, PixelData=pixels.tobytes())


@pytest.mark.parametrize(("limit", "rows"), [(None, [0]), (-1990, [0, 1]), (-2100, [0])])
def test_padding_is_frozen(tmp_path, dicom_slice, limit, rows):
    plain = dicom_slice(tmp_path / "b", 2)
    stack = read_dicom([padded(tmp_path / "a", dicom_slice, -2000, limit), plain])
    expected = np.zeros((2, 12, 9), bool)
    expected[0, rows] = True
    np.testing.assert_array_equal(stack.frozen, expected)
    assert read_dicom([plain]).frozen is None


def test_padding_may_be_stated_unsigned_and_lie_beyond_the_bits_stored(tmp_path, dicom_slice):
    path = padded(tmp_path / "a", dicom_slice, -2000)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = np.where(dataset.pixel_array == -1990, 0, dataset.pixel_array).astype("<i2").tobytes()
    dataset.BitsStored, dataset.HighBit = 11, 10
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    dataset.save_as(path)
    stack = read_dicom([path])
    assert stack.frozen.sum() == 9 and stack.frozen[0, 0].all() and (stack.slices[stack.frozen] == -2000).all()


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_the_stored_ones_are_no_values(tmp_path, dicom_slice, signed):
    words = np.random.default_rng(0).integers(0, 2**16, (12, 9), dtype=np.uint16)
    values = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed, "PixelPaddingValue": None}
    path = dicom_slice(tmp_path / "a", PixelData=words.astype("<u2").tobytes(), **values)
    stack = read_dicom([path])
    expected = (words & 4095).astype(int)
    np.testing.assert_array_equal(stack.slices[0], np.where(signed & (expected > 2047), expected - 4096, expected))
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_array_equal(stack.real(), image)


def test_frames_of_an_enhanced_image_have_their_own_rescale(tmp_path):
    path, stored = enhanced(tmp_path / "a")
    stack = read_dicom([path])
    np.testing.assert_array_equal(stack.slices, stored)
    np.testing.assert_array_equal(stack.slope, np.arange(1, 11))
    np.testing.assert_array_equal(stack.intercept, -np.arange(10))
    assert stack.spacing == (1.5, 0.5, 0.25) and stack.unit == "" and stack.modality == "mri"


def enhanced(path):
    """pydicom's Enhanced MR file comes without functional groups."""
    dataset = pydicom.dcmread(get_testdata_file("emri_small.dcm"))
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SpacingBetweenSlices = [0.5, 0.25], 1.2
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    frames = []
    for number in range(10):
        frame, rescale, place = Dataset(), Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = number + 1, -number, "US"
        place.ImagePositionPatient = [0, 0, 1.5 * number]
        frame.PixelValueTransformationSequence, frame.PlanePositionSequence = [rescale], [place]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    dataset.save_as(path)
    return path, dataset.pixel_array


# What is set (None takes an element away), and what the message says.
REFUSED = {
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "indices of colors in a palette"),
    "photometric": ({"PhotometricInterpretation": "HSV"}, "pixels are HSV"),
    "samples": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "MONOCHROME2"}, "of 3 samples"),
    "lut": ({"ModalityLUTSequence": [Dataset()]}, "Modality LUT"),
    "slope": ({"RescaleSlope": 0}, "rescale slope 0"),
    "bits": ({"BitsAllocated": 64}, "64 bits allocated"),
    "one bit": ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": b"\0" * 14}, "1-bit"),
    "high bit": ({"BitsStored": 12, "HighBit": 15}, "12 bits stored of 16 up to bit 15"),
    "truncated": ({"PixelData": b"\0" * 200}, "is truncated: 200 bytes of pixels where its header asks for 216"),
    "long": ({"PixelData": b"\0" * 218}, "wrong length: 218 bytes"),
    "no pixels": ({"PixelData": None}, "holds no pixel data"),
    "encrypted": ({"PixelData": None, "EncryptedAttributesSequence": [Dataset()]}, "encrypted"),
    "float": ({"PixelData": None, "FloatPixelData": b"\0" * 432, "BitsAllocated": 32}, "floating point"),
    "no size": ({"Rows": None, "PixelData": b""}, "does not say its Rows"),
    "no sign": ({"PixelRepresentation": None, "PixelData": b"\0" * 216}, "does not say its"),
    "segmentation": ({"SOPClassUID": SegmentationStorage}, "is not an image but Segmentation"),
    "tiles": ({"TotalPixelMatrixColumns": 100}, "whole-slide"),
    "concatenation": ({"ConcatenationUID": "1.2"}, "concatenation"),
    "no name": ({"SOPInstanceUID": ""}, "SOP Instance UID"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_why(tmp_path, dicom_slice, name):
    values, cause = REFUSED[name]
    values = dict(values)
    if values.get("SamplesPerPixel") == 3 or "BitsAllocated" in values:
        values.setdefault("PixelData", b"\0" * 216)
    after = {key: values.pop(key) for key in ("PixelRepresentation", "FloatPixelData", "Rows") if key in values}
    path = dicom_slice(tmp_path / "a.dcm", **values)
    dataset = pydicom.dcmread(path)
    for key, value in after.items():
        if value is None:
            del dataset[key]
        else:
            setattr(dataset, key, value)
    dataset.save_as(path)
    with pytest.raises(FormatError, match=cause) as caught:
        read_dicom([path])
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("test-SR.dcm", "is not an image but Comprehensive SR"),
        ("DICOMDIR", "DICOMDIR"),
        ("rtdose.dcm", "RT Dose"),
        ("MR_truncated.dcm", "is truncated"),
        ("mlut_18.dcm", "Modality LUT"),
        ("examples_palette.dcm", "palette"),
        ("liver_1frame.dcm", "Segmentation"),
    ],
)
def test_files_of_others_that_are_refused(name, cause):
    with pytest.raises(FormatError, match=cause):
        read_dicom([get_testdata_file(name)])


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "CT_small.dcm"])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.95])
def test_truncated_files_are_never_taken_for_whole_ones(tmp_path, name, share):
    with open(get_testdata_file(name), "rb") as file:
        content = file.read()
    # Some end in padding, which is not pixels.
    end = content.rfind(bytes.fromhex("fcfffcff"))
    (tmp_path / "a.dcm").write_bytes(content[: int(share * (end if end > 0 else len(content)))])
    with pytest.raises(FormatError, match=r"a\.dcm: "):
        read_dicom([tmp_path / "a.dcm"])


def test_what_is_no_dicom_is_refused(tmp_path):
    path = tmp_path / "a.dcm"
    for content, cause in ((b"", "empty"), (b"hello " * 99, "DICOM"), (b"\0" * 128 + b"DICM", "DICOM")):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=cause):
            read_dicom([path])


def test_videos_and_unknown_syntaxes_are_refused(tmp_path, dicom_slice):
    path = dicom_slice(tmp_path / "a")
    for syntax, cause in ((MPEG4HP41, "is a video"), ("1.2.3.4", "transfer syntax 1.2.3.4 is not supported")):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(tmp_path / "b", implicit_vr=False, little_endian=True)
        with pytest.raises(FormatError, match=cause):
            read_dicom([tmp_path / "b"])


def test_a_missing_decoder_is_named(monkeypatch):
    monkeypatch.setattr(decoders.JPEGLosslessSV1Decoder, "_available", {})
    with pytest.raises(FormatError, match=r"needs a decoder: pip install 'noisewise\[dicom\]'"):
        read_dicom([get_testdata_file("JPEG-LL.dcm")])


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "another orientation"),
        ({"PixelSpacing": [0.5, 0.8]}, "another pixel spacing"),
        ({"Columns": 10}, "another Columns"),
        ({"SeriesInstanceUID": "1.2.4"}, "another SeriesInstanceUID"),
        ({"PixelRepresentation": 0}, "another PixelRepresentation"),
        ({"ImagePositionPatient": None}, "does not say where it lies"),
        ({"ImagePositionPatient": [-10, 20, 7.5]}, "same place"),
        ({"ImagePositionPatient": [-10, 20, 20]}, "2 slices are missing between it and c.dcm"),
        ({"NumberOfFrames": 2}, "several frames"),
    ],
)
def test_a_series_is_one_stack_of_slices(dicom_series, dicom_slice, values, cause):
    other = dicom_slice(dicom_series[0].parent / "z.dcm", 6, **values)
    with pytest.raises(FormatError, match=cause) as caught:
        read_dicom([*dicom_series, other])
    assert caught.value.path == str(other)


def test_gaps_are_allowed_where_the_caller_says_so(dicom_series):
    rest = [path for path in dicom_series if path.stem != "a"]
    with pytest.raises(FormatError, match="missing"):
        read_dicom(rest)
    assert numbers(read_dicom(rest, allow_gaps=True)) == [1, 2, 4, 5]


def test_uneven_distances_are_no_gap(tmp_path, dicom_slice):
    places = [0, 1, 2.1, 3.3, 4.7]
    paths = [dicom_slice(tmp_path / f"{n}", n, ImagePositionPatient=[0, 0, z]) for n, z in enumerate(places, 1)]
    assert len(read_dicom(paths).slices) == 5
