# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written: the same pixels where nothing changed, the same elements, and a true account of the derivation."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from noisewise import __version__
from noisewise.pipelines.formats.dicom import read_dicom
from noisewise.pipelines.formats.dicom import writer as dicom_writer
from noisewise.pipelines.formats.dicom.derivation import OF_ORIGINAL_MR
from noisewise.pipelines.formats.stack import Derivation, FormatError

DERIVATION = Derivation("two_stage", "0123456789abcdef" * 4, 0.5, (-1024.0, 3071.0), "float32")
# Of the files that come with pydicom, those of more pixels would take seconds each.
LARGEST = 2**18
# GDCM, which SimpleITK reads DICOM with, misreads deep color in RLE (but not the same pixels without compression),
# and takes ten seconds for a file that is encoded otherwise than it says.
MISREAD = ("SC_rgb_rle_16bit", "SC_rgb_rle_32bit", "SC_rgb_jpeg.dcm")
CHANGED = {
    "ImageType",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "SOPInstanceUID",
    "SeriesDescription",
    "DerivationDescription",
    "SourceImageSequence",
    "DerivationCodeSequence",
    "ContributingEquipmentSequence",
    "SeriesInstanceUID",
    "SeriesNumber",
    "PixelData",
    # MR_small.dcm states others than it has.
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
}


def rewrite(paths, folder, change=lambda slices: slices, derivation=DERIVATION) -> list[Path]:
    stack = read_dicom(paths)
    stack.derivation = derivation
    outputs = [folder / path.name for path in stack.paths]
    stack.write(stack, change(stack.slices), outputs)
    return outputs


def sitk(path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="GDCMImageIO"))


def small_files() -> list[Path]:
    found = []
    for path in sorted(Path(get_testdata_file("CT_small.dcm")).parent.glob("*.dcm")):
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        pixels = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
        frames = str(header.get("NumberOfFrames") or 1)
        if frames.isdigit() and 0 < pixels * int(frames) <= LARGEST:
            found.append(path)
    return found


@pytest.mark.filterwarnings("ignore")
def test_unchanged_slices_of_all_kinds_of_files_come_back_exactly(tmp_path):
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    tested, by_itk = 0, 0
    for path in small_files():
        try:
            (output,) = rewrite([path], tmp_path)
        except FormatError:
            continue
        after = pydicom.dcmread(output)
        np.testing.assert_array_equal(after.pixel_array, pydicom.dcmread(path).pixel_array, err_msg=path.name)
        assert not after.file_meta.TransferSyntaxUID.is_encapsulated
        tested += 1
        if path.name.startswith(MISREAD):
            continue
        try:
            expected = sitk(path)
        except RuntimeError:  # what GDCM cannot read
            continue
        np.testing.assert_array_equal(sitk(output), expected, err_msg=path.name)
        by_itk += 1
    # Without the decoders of the extra "dicom" there are fewer.
    assert tested >= 30 and by_itk >= 25


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("CT_small.dcm", ExplicitVRLittleEndian),
        ("MR_small_implicit.dcm", "1.2.840.10008.1.2"),
        ("MR_small_bigendian.dcm", ExplicitVRBigEndian),
        ("image_dfl.dcm", DeflatedExplicitVRLittleEndian),
        ("MR_small_RLE.dcm", ExplicitVRLittleEndian),
        ("MR_small_jp2klossless.dcm", ExplicitVRLittleEndian),
    ],
)
def test_all_other_elements_are_kept_byte_for_byte(tmp_path, name, syntax):
    source = Path(get_testdata_file(name))
    (output,) = rewrite([source], tmp_path)
    before, after = pydicom.dcmread(source), pydicom.dcmread(output)
    assert after.file_meta.TransferSyntaxUID == syntax and after.preamble == before.preamble
    names = {pydicom.datadict.tag_for_keyword(name) for name in CHANGED}
    kept = [tag for tag in list(before.keys()) if tag not in names and not (tag.element == 0 and tag.group > 6)]
    for tag in kept:
        # Not decoded yet: the bytes of the file.
        assert after.get_item(tag).value == before.get_item(tag).value, tag
    assert set(after.keys()) - set(kept) <= names


def test_changed_slices_keep_their_places_and_geometry(dicom_series, tmp_path):
    stack = read_dicom(dicom_series)
    outputs = rewrite(dicom_series, tmp_path / "out", lambda slices: slices // 2)
    assert [path.name for path in outputs] == ["b.dcm", "d.dcm", "a.dcm", "e.dcm", "c.dcm"]
    images = []
    for folder in (tmp_path / "in", tmp_path / "out"):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        images.append(reader.Execute())
    before, after = images
    assert after.GetSpacing() == before.GetSpacing() == (0.75, 0.5, 2.5)
    assert (after.GetOrigin(), after.GetDirection()) == (before.GetOrigin(), before.GetDirection())
    expected = stack.slices // 2 * stack.slope + stack.intercept
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(after), expected)


def test_what_a_result_says_of_itself(dicom_series, tmp_path):
    outputs = rewrite(dicom_series, tmp_path / "out")
    for output in outputs:
        before, after = pydicom.dcmread(tmp_path / "in" / output.name), pydicom.dcmread(output)
        assert after.StudyInstanceUID == before.StudyInstanceUID
        assert after.FrameOfReferenceUID == before.FrameOfReferenceUID
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID != before.SOPInstanceUID
        assert list(after.ImageType) == ["DERIVED", *before.ImageType[1:]]
        assert after.DerivationDescription == (
            f"Denoised by noisewise {__version__}, model two_stage, weights 0123456789ab, strength 0.5"
        )
        (code,) = after.DerivationCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("113087", "DCM", "Smoothing")
        (reference,) = after.SourceImageSequence
        assert reference.ReferencedSOPClassUID == before.SOPClassUID
        assert reference.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert after.SeriesDescription == "denoised" and after.SeriesNumber == before.SeriesNumber + 1000
        equipment = after.ContributingEquipmentSequence[-1]
        assert (equipment.Manufacturer, equipment.SoftwareVersions) == ("noisewise", __version__)
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == codes.DCM.ProcessingEquipment.value
        assert after.InstanceCreationDate != before.InstanceCreationDate
    written = [pydicom.dcmread(output) for output in outputs]
    assert len({dataset.SeriesInstanceUID for dataset in written}) == 1
    assert len({dataset.SOPInstanceUID for dataset in written}) == 5
    assert written[0].SeriesInstanceUID != "1.2.3"


def test_identifiers_depend_on_sources_and_settings_only(dicom_series, tmp_path):
    uids = []
    others = {"a": DERIVATION, "b": replace(DERIVATION), "c": replace(DERIVATION, strength=1)}
    for name, derivation in others.items():
        written = [pydicom.dcmread(path) for path in rewrite(dicom_series, tmp_path / name, derivation=derivation)]
        uids.append([(dataset.SOPInstanceUID, dataset.SeriesInstanceUID) for dataset in written])
    assert uids[0] == uids[1] and not set(sum(uids[0], ())) & set(sum(uids[2], ()))
    # One slice alone gets the same names as within its series.
    (alone,) = rewrite(dicom_series[:1], tmp_path / "d")
    assert (pydicom.dcmread(alone).SOPInstanceUID, pydicom.dcmread(alone).SeriesInstanceUID) in uids[0]


def test_what_was_derived_before_stays_on_record(tmp_path, dicom_slice):
    path = dicom_slice(tmp_path / "a", SeriesDescription="x" * 64, DerivationDescription="cropped")
    (first,) = rewrite([path], tmp_path / "1")
    (second,) = rewrite([first], tmp_path / "2")
    after = pydicom.dcmread(second)
    assert after.SeriesDescription == "x" * 55 + " denoised" and len(after.SourceImageSequence) == 2
    assert after.DerivationDescription.startswith("cropped; Denoised by") and len(after.DerivationCodeSequence) == 2


def test_extremes_are_those_of_the_new_pixels(tmp_path, dicom_slice):
    names = ("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries")
    paths = []
    for number in (1, 2):
        path = dicom_slice(tmp_path / "in" / str(number), number)
        dataset = pydicom.dcmread(path)
        for name in names:
            dataset.add_new(name, "SS", 77)
        dataset.save_as(path)
        paths.append(path)
    outputs = rewrite(paths, tmp_path / "out", lambda slices: -slices)
    written = [pydicom.dcmread(output) for output in outputs]
    lowest = min(dataset.pixel_array.min() for dataset in written)
    for dataset in written:
        pixels = dataset.pixel_array
        assert [dataset[name].value for name in names] == [pixels.min(), pixels.max(), lowest]
        assert "LargestPixelValueInSeries" not in dataset


@pytest.mark.parametrize("planar", [0, 1])
def test_colors_keep_their_planar_configuration(tmp_path, planar):
    source = Path(get_testdata_file("color-pl.dcm" if planar else "color-px.dcm"))
    (output,) = rewrite([source], tmp_path, lambda slices: slices[..., ::-1].copy())
    before, after = pydicom.dcmread(source), pydicom.dcmread(output)
    assert after.PlanarConfiguration == planar
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array[..., ::-1])


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm"])
def test_ybr_becomes_rgb(tmp_path, name):
    source = Path(get_testdata_file(name))
    (output,) = rewrite([source], tmp_path)
    after = pydicom.dcmread(output)
    assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("RGB", 0)
    np.testing.assert_array_equal(after.pixel_array, pydicom.dcmread(source).pixel_array)


def test_once_lossy_is_always_lossy(tmp_path):
    (output,) = rewrite([Path(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"))], tmp_path)
    after = pydicom.dcmread(output)
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert after.LossyImageCompressionRatio > 1
    (output,) = rewrite([Path(get_testdata_file("MR_small_RLE.dcm"))], tmp_path)
    assert pydicom.dcmread(output).get("LossyImageCompression") != "01"


@pytest.mark.parametrize("signed", [0, 1])
def test_an_overlay_in_unused_bits_survives(tmp_path, dicom_slice, signed):
    words = np.random.default_rng(0).integers(0, 2**16, (12, 9), dtype=np.uint16)
    values = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed, "PixelPaddingValue": None}
    path = dicom_slice(tmp_path / "a", PixelData=words.astype("<u2").tobytes(), **values)
    (output,) = rewrite([path], tmp_path / "out", lambda slices: slices // 2)
    written = np.frombuffer(pydicom.dcmread(output).PixelData, "<u2").reshape(12, 9)
    np.testing.assert_array_equal(written & 0xF000, words & 0xF000)
    stored = read_dicom([path]).slices // 2
    np.testing.assert_array_equal(read_dicom([output]).slices, stored)


def test_frames_of_enhanced_images_are_derived_too(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("emri_small.dcm"))
    shared, kind = pydicom.Dataset(), pydicom.Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
    shared.MRImageFrameTypeSequence = [kind]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(10)]
    dataset.save_as(tmp_path / "a")
    (output,) = rewrite([tmp_path / "a"], tmp_path / "out")
    (group,) = pydicom.dcmread(output).SharedFunctionalGroupsSequence
    assert list(group.MRImageFrameTypeSequence[0].FrameType) == ["DERIVED", "PRIMARY", "T1", "NONE"]
    source = group.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == dataset.SOPInstanceUID


def test_enhanced_images_describe_the_derivation_as_their_definition_allows(tmp_path):
    """In functional groups and as evidence, and without the elements of original MR images (PS3.3 A.36, C.17.2)."""
    dataset = pydicom.dcmread(get_testdata_file("emri_small.dcm"))
    assert "PulseSequenceName" in dataset
    dataset.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    dataset.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(10)]
    dataset.save_as(tmp_path / "a")
    outputs = rewrite([tmp_path / "a"], tmp_path / "out")
    after = pydicom.dcmread(outputs[0])
    for name in ("DerivationDescription", "DerivationCodeSequence", "SourceImageSequence", *OF_ORIGINAL_MR):
        assert name not in after, name
    assert after.ContributingEquipmentSequence[-1].ContributionDescription.startswith("Denoised by noisewise")
    (study,) = after.SourceImageEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (dataset.StudyInstanceUID, dataset.SeriesInstanceUID)
    assert instance.ReferencedSOPClassUID == dataset.SOPClassUID
    assert instance.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    # Once more: of the denoised one.
    (again,) = rewrite(outputs, tmp_path / "again")
    (study,) = pydicom.dcmread(again).SourceImageEvidenceSequence
    assert [series.SeriesInstanceUID for series in study.ReferencedSeriesSequence] == [
        dataset.SeriesInstanceUID,
        after.SeriesInstanceUID,
    ]


def test_compressed_icons_are_dropped(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    icon, plain, item = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    icon.Rows = plain.Rows = 2
    icon.PixelData = dataset.PixelData
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    plain.PixelData = bytes(4)
    plain["PixelData"].VR = "OW"
    item.IconImageSequence = [icon]
    dataset.IconImageSequence = [icon]
    dataset.add_new(0x00091010, "SQ", [item])
    dataset.add_new(0x00091011, "SQ", [plain])
    dataset.save_as(tmp_path / "a")
    (output,) = rewrite([tmp_path / "a"], tmp_path / "out")
    after = pydicom.dcmread(output)
    assert "IconImageSequence" not in after and "IconImageSequence" not in after[0x00091010].value[0]
    assert after[0x00091011].value[0].PixelData == bytes(4)
    np.testing.assert_array_equal(after.pixel_array, dataset.pixel_array)


def test_an_odd_number_of_bytes_gets_its_pad_byte(tmp_path, dicom_slice):
    values = {"Rows": 3, "Columns": 5, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    path = dicom_slice(tmp_path / "a", PixelData=bytes(range(16)), PixelPaddingValue=None, **values)
    content = path.read_bytes()
    begin = content.index(bytes(range(16)))
    path.write_bytes(content[: begin - 4] + (15).to_bytes(4, "little") + content[begin : begin + 15])
    stack = read_dicom([path])
    np.testing.assert_array_equal(stack.slices[0], np.arange(15).reshape(3, 5))
    (output,) = rewrite([path], tmp_path / "out")
    assert pydicom.dcmread(output).PixelData == bytes([*range(15), 0])


def test_stray_item_tags_are_dropped(tmp_path, dicom_slice):
    path = dicom_slice(tmp_path / "a")
    path.write_bytes(path.read_bytes() + bytes.fromhex("feffdde000000000"))
    (output,) = rewrite([path], tmp_path / "out")
    after = pydicom.dcmread(output)
    np.testing.assert_array_equal(after.pixel_array, pydicom.dcmread(path).pixel_array)
    assert not [tag for tag in list(after.keys()) if tag.group == 0xFFFE]


def test_elements_that_cannot_be_written_are_known_when_the_file_is_read(tmp_path, dicom_slice, monkeypatch):
    path = dicom_slice(tmp_path / "a")

    def refuse(*_, **__):
        raise ValueError("Unknown VR NONE in (0009,1001)")

    monkeypatch.setattr(pydicom.FileDataset, "save_as", refuse)
    with pytest.raises(FormatError, match="could not be written again: Unknown VR NONE"):
        read_dicom([path])


def test_signatures_of_the_old_pixels_are_dropped(tmp_path, dicom_slice):
    path = dicom_slice(tmp_path / "a", DigitalSignaturesSequence=[pydicom.Dataset()])
    (output,) = rewrite([path], tmp_path / "out")
    assert "DigitalSignaturesSequence" not in pydicom.dcmread(output)


def test_a_failure_leaves_nothing(dicom_series, tmp_path, monkeypatch):
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise ValueError("no more")
        return b"\0" * 216

    stack = read_dicom(dicom_series)
    monkeypatch.setattr(dicom_writer, "pixel_bytes", fail)
    with pytest.raises(FormatError, match=r"e\.dcm: cannot be written: no more"):
        stack.write(stack, stack.slices, [tmp_path / "out" / path.name for path in stack.paths])
    assert len(calls) == 4 and not list((tmp_path / "out").iterdir())


def test_nothing_is_written_where_a_path_is_wrong(dicom_series, tmp_path):
    stack = read_dicom(dicom_series)
    outputs = [tmp_path / "out" / path.name for path in stack.paths]
    outputs[-1].mkdir(parents=True)
    with pytest.raises(FormatError, match="is a folder"):
        stack.write(stack, stack.slices, outputs)
    with pytest.raises(ValueError, match="5 files need as many different outputs, got 4"):
        stack.write(stack, stack.slices, outputs[:4])
    with pytest.raises(ValueError, match="cannot take the place of"):
        stack.write(stack, stack.slices.astype(np.float32), outputs)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [outputs[-1].name]


# The standard has it otherwise (PS3.3 2024e, C.8.13.4: "May be present otherwise").
OUTDATED = "Attribute present when condition unsatisfied (which may not be present otherwise) Type 1C"


def errors(path) -> set[str]:
    result = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return {line for line in lines if line.startswith("Error") and OUTDATED not in line}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_jp2klossless.dcm",
        "emri_small.dcm",
        "examples_ybr_color.dcm",
        "US1_J2KR.dcm",
        "SC_rgb.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_a_validator_finds_no_new_errors(tmp_path, name):
    source = Path(get_testdata_file(name))
    (output,) = rewrite([source], tmp_path)
    assert errors(output) <= errors(source)
    # It does look.
    dataset = pydicom.dcmread(output)
    del dataset.SOPInstanceUID
    dataset.save_as(output, enforce_file_format=False)
    assert not errors(output) <= errors(source)
