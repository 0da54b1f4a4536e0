# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages about bad files quote no value of a header, which may be a patient's data."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.data import get_testdata_file

from noisewise.pipelines.formats.checks import reading
from noisewise.pipelines.formats.dicom import read_dicom
from noisewise.pipelines.formats.stack import FormatError


@pytest.mark.parametrize("text", ["no number: 'Doe^Jane'", 'bad value "Doe^Jane"', "bad b'Doe^Jane' here", "'Doe^Jane"])
def test_what_a_library_quotes_is_left_out(tmp_path, text):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"x")
    with pytest.raises(FormatError, match=r"'\.\.\.'") as caught, reading(path, "DICOM"):
        raise ValueError(text)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'gdcm'"), AttributeError("no 'Rows'")])
def test_the_names_of_modules_and_attributes_stay(tmp_path, error):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"x")
    with pytest.raises(FormatError, match=r"'(gdcm|Rows)'"), reading(path, "DICOM"):
        raise error


@pytest.mark.parametrize("keyword", ["RescaleSlope", "PixelSpacing", "ImagePositionPatient", "WindowCenter"])
def test_a_name_in_the_place_of_a_number_is_not_quoted(tmp_path, keyword):
    path = tmp_path / "a.dcm"
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    data.add_new(keyword, "LO", "DOE^JANE")
    data.save_as(path)
    try:
        read_dicom([path])
    except FormatError as error:
        assert "DOE" not in str(error)
