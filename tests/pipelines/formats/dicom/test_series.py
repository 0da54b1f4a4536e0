# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are denoised together."""

from __future__ import annotations

import shutil

import pytest
from pydicom.data import get_testdata_file

from noisewise.pipelines.formats.dicom import group_dicom, read_dicom
from noisewise.pipelines.formats.stack import FormatError


def names(groups) -> list[str]:
    return ["".join(sorted(path.stem for path in group)) for group in groups]


def test_series_and_studies_in_one_folder_are_told_apart(tmp_path, dicom_slice):
    for number, (name, values) in enumerate(
        {
            "a": {},
            "c": {},
            "b": {"SeriesInstanceUID": "1.2.4"},
            "d": {"StudyInstanceUID": "1.9"},
        }.items()
    ):
        dicom_slice(tmp_path / f"{name}.dcm", number, **values)
    dicom_slice(tmp_path / "sub" / "e.dcm", 9)
    groups = group_dicom(tmp_path.rglob("*.dcm"))
    assert names(groups) == ["ac", "b", "d", "e"] and len(groups) == 4


def test_files_that_are_no_images_are_named_with_the_reason(tmp_path, dicom_slice):
    dicom_slice(tmp_path / "a.dcm")
    for name in ("test-SR.dcm", "DICOMDIR", "rtplan.dcm", "liver_1frame.dcm"):
        shutil.copy(get_testdata_file(name), tmp_path)
    (tmp_path / "noise.dcm").write_bytes(b"no DICOM " * 99)
    (tmp_path / "empty.dcm").write_bytes(b"")
    groups = group_dicom(tmp_path.iterdir())
    # What is damaged stands alone: the reader says what is wrong with it.
    assert names(groups) == ["a", "empty", "noise"]
    assert {path.name: cause for path, cause in groups.no_images.items()} == {
        "test-SR.dcm": "is not an image but Comprehensive SR.",
        "DICOMDIR": "is a DICOMDIR, an index of other files.",
        "rtplan.dcm": "is not an image but RT Plan.",
        "liver_1frame.dcm": "is not an image but Segmentation.",
    }
    with pytest.raises(FormatError, match=r"noise\.dcm: is not a DICOM image, or was cut off"):
        read_dicom([tmp_path / "noise.dcm"])


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("EchoNumbers", (1, 2)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("DiffusionBValue", (0.0, 1000.0)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
    ],
)
def test_volumes_of_one_series_are_told_apart_by_one_attribute(tmp_path, dicom_slice, tag, values):
    for name, value in zip("ab", values):
        for number in (1, 2, 3):
            path = tmp_path / f"{name}{number}.dcm"
            dicom_slice(path, number, **{tag: value, "SOPInstanceUID": f"1.{ord(name)}.{number}"})
    groups = group_dicom(tmp_path.iterdir())
    assert names(groups) == ["a1a2a3", "b1b2b3"]
    assert [len(read_dicom(group).slices) for group in groups] == [3, 3]


def test_doubles_that_nothing_tells_apart_stay_together(tmp_path, dicom_slice):
    dicom_slice(tmp_path / "a.dcm", 1)
    dicom_slice(tmp_path / "b.dcm", 1, SOPInstanceUID="1.2.3.9")
    assert names(group_dicom(tmp_path.iterdir())) == ["ab"]


def test_an_instance_that_is_stored_twice_is_taken_once(tmp_path, dicom_slice):
    for number, name in enumerate("acd"):
        dicom_slice(tmp_path / f"{name}.dcm", number)
    dicom_slice(tmp_path / "b.dcm", 0, PatientID="another header")
    dicom_slice(tmp_path / "e.dcm", 7, SOPInstanceUID="1.2.3.0")  # with other pixels
    groups = group_dicom(tmp_path.iterdir())
    assert names(groups) == ["acde"]
    assert {path.name: cause for path, cause in groups.copies.items()} == {
        "b.dcm": "is the same instance with the same pixels as a.dcm, which is denoised."
    }


def test_localizers_are_one_group_a_direction(tmp_path, dicom_slice):
    axes = {"a": [1, 0, 0, 0, 1, 0], "b": [1, 0, 0, 0, 0, -1], "c": [1, 0, 0, 0, 1, 0]}
    for number, (name, each) in enumerate(axes.items(), 1):
        values = {"ImageOrientationPatient": each, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
        dicom_slice(tmp_path / f"{name}.dcm", number, **values)
    assert names(group_dicom(tmp_path.iterdir())) == ["ac", "b"]


@pytest.mark.parametrize(("modality", "expected"), [("CT", ["ab"]), ("DX", ["a", "b"])])
def test_pictures_without_a_place_stand_alone(tmp_path, dicom_slice, modality, expected):
    for number, name in enumerate("ab", 1):
        dicom_slice(tmp_path / f"{name}.dcm", number, Modality=modality, ImagePositionPatient=None)
    assert names(group_dicom(tmp_path.iterdir())) == expected


def test_files_of_several_frames_stand_alone(tmp_path, dicom_slice):
    for number, name in enumerate("ab", 1):
        dicom_slice(tmp_path / f"{name}.dcm", number, NumberOfFrames=2)
    assert names(group_dicom(tmp_path.iterdir())) == ["a", "b"]
