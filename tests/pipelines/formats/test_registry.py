# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Files are read by their names, and bad ones refused in one line, whatever their format."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from noisewise.pipelines.formats import FormatError, checks, volume
from noisewise.pipelines.formats.registry import SUFFIXES, VOLUME_SUFFIXES, read_stack, suffix_of

ARRAY = np.random.RandomState(0).randint(0, 200, (11, 13)).astype(np.uint8)
VOLUME = np.random.RandomState(0).randint(0, 200, (3, 11, 13)).astype(np.uint8)


def make(path: Path) -> np.ndarray:
    """Write a file of the format that the suffix names; returns the slices it holds."""
    suffix = suffix_of(path)
    if suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, VOLUME, photometric="minisblack")
        return VOLUME
    if suffix in (".nii", ".nii.gz"):
        nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4)), path)
        return VOLUME
    if suffix in (".hdr", ".hdr.gz"):
        nibabel.save(nibabel.Nifti1Pair(VOLUME.T, np.eye(4)), path)
        return VOLUME
    if suffix in VOLUME_SUFFIXES:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(path))
        return VOLUME
    Image.fromarray(ARRAY).save(path, **({"quality": 100} if suffix in (".jpg", ".jpeg") else {}))
    return np.asarray(Image.open(path))[None]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("upper", [False, True])
def test_every_suffix_is_read_and_written(tmp_path, suffix, upper):
    if upper and suffix in VOLUME_SUFFIXES and suffix not in (".nii", ".nii.gz"):
        make(tmp_path / f"a{suffix}")  # SimpleITK does not write under names in capitals
        (tmp_path / f"a{suffix}").rename(tmp_path / f"a{suffix.upper()}")
        expected = VOLUME
    else:
        expected = make(tmp_path / f"a{suffix.upper() if upper else suffix}")
    path = tmp_path / f"a{suffix.upper() if upper else suffix}"
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.slices, expected)
    assert stack.paths == [path] and stack.name == str(path)
    output = tmp_path / "new" / "folder" / path.name
    stack.write(stack, stack.slices, [output])
    np.testing.assert_allclose(read_stack(output).slices.astype(int), expected, atol=2 if "j" in suffix else 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"This is a letter to somebody, not an image. " * 20, "is not an? "),
        (bytes(range(256)) * 20, "is not an? "),
    ],
)
def test_files_that_are_none_of_their_kind(tmp_path, suffix, content, cause, capfd):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=cause) as caught:
        read_stack(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and "somebody" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_none(tmp_path, suffix):
    with pytest.raises(FormatError, match="no such file"):
        read_stack(tmp_path / f"missing{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        read_stack(tmp_path / f"folder{suffix}")
    os.mkfifo(tmp_path / f"pipe{suffix}")
    with pytest.raises(FormatError, match="is not a regular file"):
        read_stack(tmp_path / f"pipe{suffix}")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    make(path)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # As root, whom permissions do not hold, there is no such file.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FormatError, match="cannot be read: Permission denied"):
        read_stack(path)


@pytest.mark.parametrize(
    ("name", "cause"),
    [("a.gif", "GIF is not a supported"), ("a.xyz", "does not end in"), ("a", "does not end"), ("a.img", "pair")],
)
def test_names_that_say_nothing_known(tmp_path, name, cause):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(FormatError, match=cause):
        read_stack(tmp_path / name)


def test_the_slice_axis_reaches_volumes(tmp_path):
    for name in ("a.nii", "a.mha", "a.nrrd"):
        make(tmp_path / name)
        assert read_stack(tmp_path / name, 0).slices.shape == (13, 3, 11)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path, output = tmp_path / f"a{suffix}", tmp_path / "out" / f"a{suffix}"
    make(path)
    stack = read_stack(path)
    stack.write(stack, stack.slices, [output])
    before = {each.name: each.read_bytes() for each in output.parent.iterdir()}

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    for number, kind in ((errno.EIO, FormatError), (errno.ENOSPC, OSError)):
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(kind, match=os.strerror(number)) as caught:
            stack.write(stack, 255 - stack.slices, [output])
        assert type(caught.value) is kind
        assert {each.name: each.read_bytes() for each in output.parent.iterdir()} == before
        # Nor is half of a pair left where there was nothing.
        with pytest.raises(kind):
            stack.write(stack, stack.slices, [tmp_path / "empty" / f"a{suffix}"])
        assert not list((tmp_path / "empty").iterdir())


def test_what_does_not_fit_is_not_written(tmp_path):
    make(tmp_path / "a.png")
    stack = read_stack(tmp_path / "a.png")
    for slices in (stack.slices[:, 1:], stack.slices.astype(np.uint16)):
        with pytest.raises(ValueError, match="cannot take the place"):
            stack.write(stack, slices, [tmp_path / "b.png"])
    with pytest.raises(ValueError, match="one path"):
        stack.write(stack, stack.slices, [])
    assert not (tmp_path / "b.png").exists()


def test_memory_that_does_not_suffice(tmp_path):
    make(tmp_path / "a.png")
    with pytest.raises(FormatError, match="memory"), checks.reading(tmp_path / "a.png", "PNG"):
        raise MemoryError


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cut_volumes_are_put_together_again(color, axis):
    shape = (2, 3, 4, 5, 3)[: 5 if color else 4]
    array = np.arange(np.prod(shape)).reshape(shape)
    slices = volume.slices_of(array, axis, color)
    assert len(slices) == 2 * shape[3 - axis]
    np.testing.assert_array_equal(volume.volume_of(slices, shape, axis), array)


def test_spacings_that_are_unknown():
    assert volume.choose_slice_axis(Path("a"), (4, 4, 4), (0, 0, 0)) == 2
    assert volume.choose_slice_axis(Path("a"), (4, 4, 4), (np.nan, 2, np.inf)) == 1
    assert volume.slice_spacing((1, 0, 3), 2) is None
    assert volume.slice_spacing((1, -2, 3), 1) == (2, 3, 1)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd", ".tif"])
def test_nan_stays_and_the_rest_can_change(tmp_path, suffix):
    array = VOLUME.astype(np.float32)
    array[:, :4] = np.nan
    path, output = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    elif "nii" in suffix:
        nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.frozen, np.isnan(array))
    assert np.isfinite(stack.slices).all() and stack.slices.min() == np.nanmin(array)
    stack.write(stack, stack.slices + 1, [output])
    again = read_stack(output)
    np.testing.assert_array_equal(again.frozen, np.isnan(array))
    np.testing.assert_array_equal(again.slices[~again.frozen], (array + 1)[~np.isnan(array)])


def test_nothing_but_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), np.nan, np.float32))
    with pytest.raises(FormatError, match="all its values are NaN"):
        read_stack(tmp_path / "a.tif")
