# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from noisewise.transforms.file_types import has_dicom_preamble, is_dicom, split_suffix

PREAMBLE = b"\0" * 128 + b"DICM"


def test_dicom_is_told_by_name_else_by_its_preamble(tmp_path):
    (tmp_path / "IM1").write_bytes(PREAMBLE)
    (tmp_path / "IM2").write_bytes(b"\0" * 200)
    assert is_dicom(tmp_path / "IM1") and has_dicom_preamble(tmp_path / "IM1")
    assert not is_dicom(tmp_path / "IM2") and not has_dicom_preamble(tmp_path / "IM2")
    assert is_dicom("missing.DCM") and is_dicom("missing.ima")
    assert not is_dicom(tmp_path / "missing")


@pytest.mark.parametrize("name", ["a.png", "a.NII.GZ", "a.csv", "a.gz"])
def test_a_file_of_another_name_is_not_opened(tmp_path, name):
    (tmp_path / name).write_bytes(PREAMBLE)
    assert not is_dicom(tmp_path / name)
    assert has_dicom_preamble(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.nii.gz", ("a", ".nii.gz")),
        ("a.b.NII", ("a.b", ".nii")),
        ("1.2.840", ("1.2.840", "")),
        ("1.2.dcm", ("1.2", ".dcm")),
        (".png", (".png", "")),
        ("a.mha", ("a.mha", "")),
    ],
)
def test_only_known_suffixes_are_split_off(name, parts):
    assert split_suffix(name) == parts


def test_suffixes_can_be_given():
    assert split_suffix("a.MHA", (".mha",)) == ("a", ".mha")
