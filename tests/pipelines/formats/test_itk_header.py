# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers that name a data file reach none outside their own folder."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.itk_header import data_output, metaimage_layout, nrrd_layout
from noisewise.pipelines.formats.registry import read_stack

SECRET = b"secret" * 20
MHD = (
    "ObjectType = Image\nNDims = 2\nBinaryData = True\nDimSize = 12 10\nElementType = MET_UCHAR\nElementDataFile = {}\n"
)
NHDR = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 12 10\nencoding: raw\ndata file: {}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.raw").write_bytes(SECRET)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "secret.raw")
    (tmp_path / "in" / "links").symlink_to(tmp_path)
    return tmp_path / "in"


@pytest.mark.parametrize(("suffix", "text"), [(".mhd", MHD), (".mha", MHD), (".nhdr", NHDR), (".nrrd", NHDR)])
@pytest.mark.parametrize(
    "name", ["{above}/secret.raw", "../secret.raw", "sub/../../secret.raw", "link.raw", "links/secret.raw"]
)
def test_files_elsewhere_are_not_followed(folder, suffix, text, name):
    path = folder / f"a{suffix}"
    path.write_text(text.format(name.format(above=folder.parent)))
    with pytest.raises(FormatError, match="outside its own folder") as caught:
        read_stack(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(("suffix", "text"), [(".mhd", MHD), (".nhdr", NHDR)])
@pytest.mark.parametrize("form", ["LIST", "LIST 2", "../secret%d.raw 1 4 1"])
def test_lists_of_files_are_not_followed(folder, suffix, text, form):
    (folder / f"a{suffix}").write_text(text.format(form) + "../secret.raw\n")
    with pytest.raises(FormatError, match="several files"):
        read_stack(folder / f"a{suffix}")


@pytest.mark.parametrize(("suffix", "text"), [(".mhd", MHD), (".nhdr", NHDR)])
@pytest.mark.parametrize("name", ["b.raw", "./b.raw", "sub/b.raw", "{folder}/b.raw"])
def test_files_of_the_folder_are_read(folder, suffix, text, name):
    name = name.format(folder=folder)
    (folder / name).write_bytes(SECRET)
    (folder / f"a{suffix}").write_text(text.format(name))
    assert read_stack(folder / f"a{suffix}").slices.tobytes() == SECRET


def test_a_linked_header_with_its_data(tmp_path, monkeypatch):
    """The data may lie beside the link, or beside the file that it leads to."""
    (tmp_path / "store").mkdir()
    (tmp_path / "in").mkdir()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((4, 5), np.uint8)), str(tmp_path / "store" / "a.mhd"))
    for name in ("a.mhd", "a.raw"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "store" / name)
    assert read_stack(tmp_path / "in" / "a.mhd").slices.shape == (1, 4, 5)
    monkeypatch.chdir(tmp_path / "in")
    assert metaimage_layout(tmp_path / "in" / "a.mhd").data.name == "a.raw"


def test_the_data_file_of_a_result(tmp_path):
    (tmp_path / "a.nhdr").write_text(NHDR.format("a.raw.gz"))
    assert nrrd_layout(tmp_path / "a.nhdr").data == tmp_path / "a.raw.gz"
    for data, expected in (("a.raw.gz", "b.raw.gz"), ("other.bin", "b.bin")):
        found = data_output(tmp_path / "out" / "b.nhdr", tmp_path / "a.nhdr", tmp_path / data)
        assert os.fspath(found) == os.fspath(tmp_path / "out" / expected)
