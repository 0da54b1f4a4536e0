# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Small files that state or hold huge images are refused before their pixels are read."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from noisewise.pipelines.formats import FormatError, memory, nifti
from noisewise.pipelines.formats.dicom import file as dicom_file
from noisewise.pipelines.formats.dicom import read_dicom
from noisewise.pipelines.formats.registry import SUFFIXES, VOLUME_SUFFIXES, read_stack, suffix_of

VOLUME = np.arange(3 * 11 * 13, dtype=np.uint8).reshape(3, 11, 13)
MEBIBYTE = 2**20


def make(path):
    suffix = suffix_of(path)
    if suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, VOLUME, photometric="minisblack")
    elif suffix.startswith((".nii", ".hdr")):
        pair = nibabel.Nifti1Pair if suffix.startswith(".hdr") else nibabel.Nifti1Image
        nibabel.save(pair(VOLUME.T, np.eye(4)), path)
    elif suffix in VOLUME_SUFFIXES:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(path))
    else:
        Image.fromarray(VOLUME[0]).save(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_refused_where_it_does_not_fit(tmp_path, suffix, monkeypatch):
    path = make(tmp_path / f"a{suffix}")
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_memory", lambda: 10)
    with pytest.raises(memory.MemoryLimitError, match="GiB of memory by the size that its header states") as caught:
        read_stack(path)
    assert caught.value.path == str(path)
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    read_stack(path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "image_dfl.dcm"])
def test_dicom_is_refused_where_it_does_not_fit(name, monkeypatch):
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_memory", lambda: 10)
    with pytest.raises(memory.MemoryLimitError, match="GiB"):
        read_dicom([get_testdata_file(name)])


def test_a_series_must_fit_as_a_whole(dicom_series, monkeypatch):
    monkeypatch.setattr(memory, "SMALL", 0)
    one = 12 * 9 * 2
    monkeypatch.setattr(memory, "free_memory", lambda: 4 * one)
    read_dicom(dicom_series[:1])
    with pytest.raises(memory.MemoryLimitError):
        read_dicom(dicom_series)


def test_the_least_of_all_limits_counts(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 100 kB\nMemAvailable: 90 kB\n",
        "/sys/fs/cgroup/memory.max": "50000\n",
        "/sys/fs/cgroup/memory.current": "20000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 5000\n",
    }
    monkeypatch.setattr(memory, "_text", lambda path: files.get(path, ""))
    assert memory.free_memory() == 35000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.free_memory() == 90 * 1024
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "7000\n"
    files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = "9000\n"
    assert memory.free_memory() == 0


def peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(path, cause, read=read_stack):
    def call():
        with pytest.raises(FormatError, match=cause) as caught:
            read(path)
        assert caught.value.path == str(path)

    return call


def test_gzip_behind_the_voxels(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti, "LARGEST_EXTRA", MEBIBYTE)
    plain = make(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "a.nii.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(plain)
        for _ in range(20):
            file.write(bytes(MEBIBYTE))
    assert peak(refused(path, "far more data than the voxels")) < 8 * MEBIBYTE


@pytest.mark.parametrize("length", [-1, 0, 7, 2**31 - 16])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_extensions_of_a_length_without_sense(tmp_path, length, suffix):
    content = bytearray(make(tmp_path / "a.nii").read_bytes())
    struct.pack_into("<f", content, 108, 352 + 64)
    content[348:352] = b"\1\0\0\0"
    content[352:352] = struct.pack("<ii", length, 6) + bytes(56)
    path = tmp_path / f"b{suffix}"
    with gzip.open(path, "wb", 1) if suffix.endswith("gz") else path.open("wb") as file:
        file.write(content)
        file.write(bytes(24 * MEBIBYTE))
    assert peak(refused(path, "damaged header extension")) < 16 * MEBIBYTE


def test_voxels_that_begin_far_behind(tmp_path):
    content = bytearray(make(tmp_path / "a.nii").read_bytes())
    struct.pack_into("<f", content, 108, 2.0**31)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(content)))
    refused(tmp_path / "b.nii.gz", "bytes before its voxels")()


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd"])
def test_more_voxels_than_deflate_can_pack(tmp_path, name, monkeypatch):
    path = tmp_path / name
    image = SimpleITK.GetImageFromArray(VOLUME)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    content = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    if name.endswith("gz"):
        content = bytearray(content)
        struct.pack_into("<3h", content, 42, 30000, 30000, 30000)
        path.write_bytes(gzip.compress(bytes(content)))
    else:
        path.write_bytes(content.replace(b"13 11 3", b"30000 30000 30000"))
    monkeypatch.setattr(memory, "free_memory", lambda: 2**60)
    refused(path, "cannot hold")()


def deflated(path, extra, **values):
    """A deflated file with ``extra`` zeros in a private element before the pixels."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    for name, value in values.items():
        setattr(dataset, name, value)
    if extra:
        dataset.add_new(0x00091001, "OB", bytes(extra))
    dataset.save_as(path)
    return path


def test_deflated_dicom_is_inflated_as_far_as_its_header_asks(tmp_path, monkeypatch):
    whole = read_dicom([deflated(tmp_path / "a.dcm", 0)])
    np.testing.assert_array_equal(whole.slices[0], pydicom.dcmread(get_testdata_file("CT_small.dcm")).pixel_array)
    monkeypatch.setattr(dicom_file, "LARGEST_HEADER", MEBIBYTE)
    monkeypatch.setattr(dicom_file, "CHUNK", 2**16)
    read_dicom([deflated(tmp_path / "b.dcm", 1000)])
    path = deflated(tmp_path / "c.dcm", 24 * MEBIBYTE)
    assert peak(refused(path, "", lambda path: read_dicom([path]))) < 16 * MEBIBYTE


def test_deflated_dicom_with_more_behind_its_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_file, "LARGEST_HEADER", 2**15)
    monkeypatch.setattr(dicom_file, "CHUNK", 2**12)
    plain = pydicom.dcmread(deflated(tmp_path / "a.dcm", 0))
    plain.add_new(0x7FE10001, "LO", "x")
    plain.add_new(0x7FE11001, "OB", bytes(8 * MEBIBYTE))
    plain.save_as(tmp_path / "a.dcm")
    path = tmp_path / "a.dcm"
    assert peak(refused(path, "far more than the pixels", lambda path: read_dicom([path]))) < 8 * MEBIBYTE


def test_a_deflated_file_that_was_cut_off(tmp_path):
    path = deflated(tmp_path / "a.dcm", 0)
    path.write_bytes(path.read_bytes()[:-3000])
    refused(path, "truncated", lambda path: read_dicom([path]))()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("CT_small.dcm", {"NumberOfFrames": 2**31 - 1}),
        ("CT_small.dcm", {"Rows": 60000, "Columns": 60000}),
        ("MR_small_RLE.dcm", {"Rows": 50000, "Columns": 50000}),
        ("MR_small_RLE.dcm", {"NumberOfFrames": 2**31 - 1}),
        ("MR_small_jp2klossless.dcm", {"NumberOfFrames": 2**31 - 1}),
        ("image_dfl.dcm", {"NumberOfFrames": 2**31 - 1}),
    ],
)
def test_stated_sizes_are_compared_with_the_bytes_first(tmp_path, name, values, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2**60)
    dataset = pydicom.dcmread(get_testdata_file(name))
    for key, value in values.items():
        setattr(dataset, key, value)
    dataset.save_as(tmp_path / "a.dcm")
    assert peak(refused(tmp_path / "a.dcm", "is truncated", lambda path: read_dicom([path]))) < 16 * MEBIBYTE


def test_fewer_fragments_than_frames(tmp_path):
    for name, syntax in (("MR_small_RLE.dcm", RLELossless), ("MR_small_jp2klossless.dcm", JPEG2000Lossless)):
        dataset = pydicom.dcmread(get_testdata_file(name))
        assert dataset.file_meta.TransferSyntaxUID == syntax
        dataset.NumberOfFrames = 3
        dataset.save_as(tmp_path / "a.dcm")
        refused(tmp_path / "a.dcm", "1 of 3 frames", lambda path: read_dicom([path]))()


def test_a_png_that_does_not_fit(tmp_path, monkeypatch):
    """60,000 x 60,000 pixels in half a megabyte, as deflate packs zeros."""
    monkeypatch.setattr(memory, "free_memory", lambda: 8 * 2**30)
    side = 60000
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", bytes(500_000)),
        (b"IEND", b""),
    ]
    with (tmp_path / "a.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, body in parts:
            file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    assert peak(refused(tmp_path / "a.png", "13.4 GiB of memory")) < 16 * MEBIBYTE
