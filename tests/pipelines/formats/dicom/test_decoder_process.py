# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged frames neither end nor hang the program: their headers are compared, and decoders run in another process."""

from __future__ import annotations

import os
import signal

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.dicom import decoder_process, pixels, read_dicom

JPEG, JPEG_LS, JPEG_2000, RLE = (
    "SC_rgb_jpeg_dcmtk.dcm",
    "emri_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
)


@pytest.fixture(autouse=True)
def no_decoders():
    """Each test begins and ends without a process."""
    decoder_process._end_all()
    yield
    decoder_process._end_all()


def changed(path, name, **values):
    dataset = pydicom.dcmread(get_testdata_file(name))
    for key, value in values.items():
        setattr(dataset, key, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("name", [JPEG, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize("key", ["Rows", "Columns"])
def test_frames_of_another_size_are_named(tmp_path, name, key):
    size = pydicom.dcmread(get_testdata_file(name))[key].value
    for wrong in (size - 1, size + 1, 2 * size):
        path = changed(tmp_path / "a.dcm", name, **{key: wrong})
        with pytest.raises(FormatError, match=r"its frames are .* pixels of .* where its header states") as caught:
            read_dicom([path])
        assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (JPEG, {"BitsAllocated": 32}),
        (JPEG, {"BitsAllocated": 16}),
        (JPEG, {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}),
        (JPEG_LS, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}),
        (JPEG_LS, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}),
        (RLE, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}),
    ],
)
def test_frames_of_other_bits_or_samples_are_named(tmp_path, name, values):
    path = changed(tmp_path / "a.dcm", name, **values)
    with pytest.raises(FormatError, match=r"its frames (are|hold)"):
        read_dicom([path])


@pytest.mark.parametrize("name", [JPEG, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize("frame", [b"\xff\xd8\xff", b"\xff\xd8\xff\xda" + bytes(40), b"words " * 9])
def test_frames_without_a_header_are_named(tmp_path, name, frame):
    dataset = pydicom.dcmread(get_testdata_file(name))
    count = int(dataset.get("NumberOfFrames") or 1)
    path = changed(tmp_path / "a.dcm", name, PixelData=encapsulate([frame + b"\0" * (len(frame) % 2)] * count))
    with pytest.raises(FormatError):
        read_dicom([path])


def test_a_later_frame_is_looked_at_too(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file(JPEG_LS))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=10))
    place = frames[7].index(b"\xff\xf7") + 5
    frames[7] = frames[7][:place] + b"\1\0" + frames[7][place + 2 :]
    with pytest.raises(FormatError, match=r"its frames are 256 x 64"):
        read_dicom([changed(tmp_path / "a.dcm", JPEG_LS, PixelData=encapsulate(frames))])


def test_a_decoder_that_crashes_takes_nothing_with_it(tmp_path, monkeypatch):
    """GDCM ends its process where a frame has fewer rows than stated, if nothing looks at that before."""
    monkeypatch.setattr(pixels, "codestream_cause", lambda *_: None)
    path = changed(tmp_path / "a.dcm", JPEG_LS, Rows=65)
    with pytest.raises(FormatError, match=r"made the decoder crash|cannot be read|not the frames of") as caught:
        read_dicom([path])
    assert caught.value.path == str(path)
    stack = read_dicom([get_testdata_file(JPEG_LS)])
    expected = pydicom.dcmread(get_testdata_file("emri_small.dcm")).pixel_array
    np.testing.assert_array_equal(stack.slices, expected)


def test_a_process_that_was_killed_is_started_again():
    read_dicom([get_testdata_file(RLE)])
    (decoder,) = decoder_process._idle
    os.kill(decoder.process.pid, signal.SIGKILL)
    decoder.process.wait()
    stack = read_dicom([get_testdata_file(RLE)])
    np.testing.assert_array_equal(stack.slices[0], pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array)


def test_a_decoder_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(decoder_process, "START", "import time; time.sleep(10**6)")
    monkeypatch.setattr(decoder_process, "PATIENCE", 0.1)
    with pytest.raises(FormatError, match="crash or hang"):
        read_dicom([get_testdata_file(RLE)])
    assert not decoder_process._idle


def test_one_process_serves_many_files_and_an_error_does_not_end_it(tmp_path, monkeypatch):
    read_dicom([get_testdata_file(RLE)])
    (decoder,) = decoder_process._idle
    dataset = pydicom.dcmread(get_testdata_file(RLE))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    path = changed(tmp_path / "a.dcm", RLE, PixelData=encapsulate([frame[:2000]]))
    with pytest.raises(FormatError, match="cannot be read as DICOM"):
        read_dicom([path])
    read_dicom([get_testdata_file(JPEG)])
    assert decoder_process._idle == [decoder] and decoder.process.poll() is None
