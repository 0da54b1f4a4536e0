# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""One odd file is named, and does not take its series with it."""

from __future__ import annotations

import pytest

from noisewise.pipelines.formats.dicom import read_dicom
from noisewise.pipelines.formats.dicom.odd import odd_files


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"Columns": 10}, "another Columns"),
        ({"PixelRepresentation": 0}, "another PixelRepresentation"),
        ({"BitsStored": 12, "HighBit": 11}, "another BitsStored"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "another orientation"),
        ({"PixelSpacing": [0.5, 0.8]}, "another pixel spacing"),
        ({"ImagePositionPatient": None}, "another kind of place"),
        ({"ImagePositionPatient": [-10, 20, 7.5]}, "lies at the same place as a.dcm"),
        ({"NumberOfFrames": 2}, "another number of frames"),
    ],
)
def test_the_odd_one_is_found(dicom_series, dicom_slice, values, cause):
    other = dicom_slice(dicom_series[0].parent / "z.dcm", 6, **values)
    odd = odd_files([*dicom_series, other])
    assert list(odd) == [other] and cause in odd[other]
    assert len(read_dicom(dicom_series).slices) == 5


def test_nothing_is_odd_in_a_series(dicom_series):
    assert odd_files(dicom_series) == {}


def test_where_half_of_the_files_differ_none_is_the_odd_one(dicom_series, dicom_slice):
    others = [dicom_slice(dicom_series[0].parent / f"z{number}", number, Columns=10) for number in range(6, 11)]
    assert odd_files([*dicom_series, *others]) == {}
    doubles = [dicom_slice(dicom_series[0].parent / f"y{number}", number) for number in (1, 2)]
    assert odd_files([*dicom_series, *doubles]) == {}
