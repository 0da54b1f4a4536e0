# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD files come back with their headers, as SimpleITK reads them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.itk_image import read_metaimage, read_nrrd

READERS = {".mha": read_metaimage, ".mhd": read_metaimage, ".nrrd": read_nrrd, ".nhdr": read_nrrd}
SUFFIXES = list(READERS)
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
ROTATION = (0, 1, 0, -1, 0, 0, 0, 0, 1)


def noise(shape, dtype="int16", seed=0) -> np.ndarray:
    return (np.random.RandomState(seed).rand(*shape) * 120).astype(dtype)


def read(path: Path, **options):
    return READERS[path.suffix](path, **options)


def rewrite(path: Path, change=lambda slices: slices, name="", **options) -> Path:
    stack = read(path, **options)
    output = path.parent / "out" / (name or path.name)
    stack.write(stack, change(stack.slices), [output])
    return output


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def make(path: Path, array, compress=False, spacing=None, color=False, **metadata) -> Path:
    image = SimpleITK.GetImageFromArray(array, isVector=color)
    if image.GetDimension() == 3:
        image.SetDirection(ROTATION)
        image.SetOrigin((1, 2, 3.5))
    if spacing:
        image.SetSpacing(spacing)
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path), compress)
    return path


def geometry(path: Path) -> list:
    image = SimpleITK.ReadImage(str(path))
    keys = [key for key in image.GetMetaDataKeys() if not key.startswith("ITK_")]
    return [image.GetSpacing(), image.GetOrigin(), image.GetDirection(), {k: image.GetMetaData(k) for k in keys}]


def check(path: Path, **options) -> None:
    before = voxels(path)
    same = rewrite(path, **options)
    np.testing.assert_array_equal(voxels(same), before)
    new = rewrite(path, lambda slices: slices + 1, **options)
    np.testing.assert_array_equal(voxels(new), before + 1)
    assert voxels(new).dtype == before.dtype and geometry(new) == geometry(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(tmp_path, suffix, compress, dtype):
    array = noise((4, 5, 6), dtype)
    path = make(tmp_path / f"a{suffix}", array, compress, (0.5, 0.7, 3), note="left hand")
    stack = read(path)
    assert stack.slices.dtype == dtype
    np.testing.assert_array_equal(stack.slices, array)
    assert stack.spacing == pytest.approx((3, 0.7, 0.5))
    assert (stack.unit, stack.modality, stack.slope, stack.intercept) == ("", None, 1, 0)
    check(path)
    assert geometry(path)[3]["note"] == "left hand"
    names = sorted(each.name for each in (tmp_path / "out").iterdir())
    assert names == sorted(each.name for each in tmp_path.iterdir() if each.is_file())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_files_are_equal_to_the_byte(tmp_path, suffix):
    path = make(tmp_path / f"a{suffix}", noise((4, 5, 6)))
    rewrite(path)
    for before in (each for each in tmp_path.iterdir() if each.is_file()):
        assert (tmp_path / "out" / before.name).read_bytes() == before.read_bytes()


# shape in numpy's order, slice axis in the file's, shape of the slices
SHAPES = [
    ((5, 6), None, (1, 5, 6)),
    ((1, 5, 6), None, (1, 5, 6)),
    ((4, 5, 1), None, (1, 4, 5)),
    ((4, 5, 6), None, (4, 5, 6)),
    ((4, 5, 6), 0, (6, 4, 5)),
    ((4, 5, 6), 1, (5, 4, 6)),
    ((3, 4, 5, 6), None, (12, 5, 6)),
    ((3, 4, 5, 6), 0, (18, 4, 5)),
]


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize(("shape", "axis", "expected"), SHAPES)
def test_shapes(tmp_path, suffix, shape, axis, expected):
    path = make(tmp_path / f"a{suffix}", noise(shape))
    stack = read(path, slice_axis=axis)
    assert stack.slices.shape == expected
    volume = voxels(path).reshape((1,) * (4 - len(shape)) + shape)
    cut = 3 - stack.cut.axis
    for number in range(len(stack.slices)):
        time, index = divmod(number, volume.shape[cut])
        np.testing.assert_array_equal(stack.slices[number], np.take(volume[time], index, cut - 1))
    check(path, slice_axis=axis)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize(("spacing", "axis"), [((1, 1, 3), 2), ((3, 1, 1), 0), ((1, 3, 1), 1), ((2, 2, 2), 2)])
def test_slices_are_cut_across_the_coarsest_axis(tmp_path, suffix, spacing, axis):
    stack = read(make(tmp_path / f"a{suffix}", noise((4, 5, 6)), spacing=spacing))
    assert stack.cut.axis == axis
    assert stack.spacing[0] == pytest.approx(spacing[axis])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 5, 6, 3)])
def test_color(tmp_path, suffix, shape):
    array = noise(shape, "uint8")
    path = make(tmp_path / f"a{suffix}", array, color=True)
    stack = read(path)
    np.testing.assert_array_equal(stack.slices, array.reshape(-1, 5, 6, 3))
    check(path)


def test_fields_that_itk_does_not_know_are_kept(tmp_path):
    path = make(tmp_path / "a.mha", noise((4, 5, 6)))
    header, data = path.read_bytes().split(b"ElementDataFile = LOCAL\n", 1)
    more = b"Comment = words\nModality = MET_MOD_CT\nElementMin = 0\n"
    path.write_bytes(header + more + b"ElementDataFile = LOCAL\n" + data)
    check(path)
    assert more in rewrite(path, lambda slices: slices + 1).read_bytes()


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_of_another_program(tmp_path, encoding):
    array = noise((2, 3, 4), ">i2")
    header = (
        "NRRD0005\r\n# a comment\r\ntype: short\r\ndimension: 3\r\nspace: right-anterior-superior\r\nsizes: 4 3 2\r\n"
        "space directions: (1,0,0) (0,2,0) (0,0,5)\r\nkinds: domain domain domain\r\nendian: big\r\n"
        f"encoding: {encoding}\r\nspace origin: (1,2,3)\r\nold min: 4\r\nkey:=value\r\n\r\n"
    ).encode()
    path = tmp_path / "a.nrrd"
    path.write_bytes(header + (array.tobytes() if encoding == "raw" else gzip.compress(array.tobytes())))
    np.testing.assert_array_equal(voxels(path), array)
    np.testing.assert_array_equal(read(path).slices, array)
    assert read(path).slices.dtype.isnative
    check(path)
    assert rewrite(path, lambda slices: slices + 1).read_bytes().startswith(header)


@pytest.mark.parametrize("compress", [False, True])
def test_big_endian_metaimage(tmp_path, compress):
    array = noise((2, 3, 4), ">f4")
    data = zlib.compress(array.tobytes()) if compress else array.tobytes()
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = True",
        *([f"CompressedData = True\nCompressedDataSize = {len(data)}"] if compress else []),
        "DimSize = 4 3 2",
        "ElementType = MET_FLOAT",
        "ElementDataFile = LOCAL\n",
    ]
    path = tmp_path / "a.mha"
    path.write_bytes("\n".join(lines).encode() + data)
    np.testing.assert_array_equal(voxels(path), array)
    np.testing.assert_array_equal(read(path).slices, array)
    check(path)


@pytest.mark.parametrize("kind", ["RGB-color", "vector"])
def test_kinds_of_nrrd_colors_are_kept(tmp_path, kind):
    path = make(tmp_path / "a.nrrd", noise((5, 6, 3), "uint8"), color=True)
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", f"kinds: {kind}".encode()))
    check(path)
    assert f"kinds: {kind} domain domain".encode() in (tmp_path / "out" / "a.nrrd").read_bytes()


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
@pytest.mark.parametrize("compress", [False, True])
def test_the_data_file_takes_the_name_of_the_header(tmp_path, suffix, compress):
    path = make(tmp_path / f"1.2.3{suffix}", noise((4, 5, 6)), compress)
    output = rewrite(path, lambda slices: slices + 1, name=f"b{suffix}")
    data = next(each for each in tmp_path.iterdir() if each.is_file() and each != path)
    assert {each.name for each in output.parent.iterdir()} == {f"b{suffix}", data.name.replace("1.2.3", "b")}
    data.unlink()
    np.testing.assert_array_equal(voxels(output), noise((4, 5, 6)) + 1)


def test_a_stranger_data_file_is_not_overwritten(tmp_path):
    path = make(tmp_path / "a.mhd", noise((4, 5, 6)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.raw").write_bytes(b"something else")
    with pytest.raises(FormatError, match=r"a\.raw exists already"):
        rewrite(path)
    assert (tmp_path / "out" / "a.raw").read_bytes() == b"something else"
    assert not (tmp_path / "out" / "a.mhd").exists()


def test_a_pair_can_take_its_own_place(tmp_path):
    path = make(tmp_path / "a.mhd", noise((4, 5, 6)))
    stack = read(path)
    stack.write(stack, stack.slices + 1, [path])
    np.testing.assert_array_equal(voxels(path), noise((4, 5, 6)) + 1)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mhd", "a.raw"]


def changed(old: bytes, new: bytes, **options):
    def write(path):
        make(path, noise((4, 5, 6)), **options)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return write


def cut(compress):
    def write(path):
        make(path, noise((4, 5, 6)), compress)
        path.write_bytes(path.read_bytes()[:-20])

    return write


def too_much(path):
    """The compressed voxels are more than the header says."""
    make(path, noise((4, 5, 6)), True)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 6 5 4", b"DimSize = 6 5 3"))


def without_data(path):
    make(path, noise((4, 5, 6)))
    path.with_suffix(".raw").unlink()


def with_infinity(path):
    array = noise((4, 5, 6), "float32")
    array[0, 1, 2] = np.inf
    make(path, array)


def vectors(path):
    make(path, noise((5, 6, 3), "float32"), color=True)


def colors_last(path):
    text = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 6 5 3\nkinds: domain domain RGB-color\nencoding: raw\n\n"
    path.write_bytes(text.encode() + noise((3, 5, 6), "uint8").tobytes())


@pytest.mark.parametrize(
    ("name", "write", "cause"),
    [
        ("a.mha", cut(False), "220 bytes of voxels where its header asks for 240"),
        ("a.mha", cut(True), "truncated"),
        ("a.nrrd", cut(False), "220 bytes"),
        ("a.nrrd", cut(True), "truncated"),
        ("a.mha", too_much, "do not fit the size that the header states"),
        ("a.mhd", without_data, "no such file"),
        ("a.mha", with_infinity, "1 of 120 values are infinite"),
        ("a.nrrd", with_infinity, "1 of 120 values are infinite"),
        ("a.mha", vectors, "three channels"),
        ("a.nrrd", vectors, "three channels"),
        ("a.nrrd", colors_last, "colors are not the first axis"),
        ("a.mha", changed(b"BinaryData = True", b"BinaryData = False"), "text"),
        ("a.mhd", changed(b"ElementDataFile = a.raw", b"ElementDataFile = LIST"), "several files"),
        ("a.mhd", changed(b"ElementDataFile", b"HeaderSize = 9\nElementDataFile"), "HeaderSize"),
        ("a.nrrd", changed(b"encoding: raw", b"encoding: hex"), "encoding 'hex'"),
        ("a.nrrd", changed(b"encoding: raw", b"encoding: raw\nbyte skip: 3"), "skip"),
        ("a.nhdr", changed(b"data file: a.raw", b"data file: a%d.raw 1 4 1"), "several files"),
        ("a.nrrd", changed(b"sizes: 6 5 4", b"sizes: 6 five"), "damaged"),
        ("a.mha", lambda path: path.write_bytes(b"words " * 99), "not a MetaImage"),
        ("a.nrrd", lambda path: path.write_bytes(b"words " * 99), "not an NRRD"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(tmp_path, name, write, cause):
    path = tmp_path / name
    write(path)
    with pytest.raises(FormatError, match=cause) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)[:-4]) and "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [(2, 6, 5, 4), (7, 6, 5, 4), (3, 6, 5)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_list_axis_is_cut_image_by_image(tmp_path, sizes, dtype):
    """NRRD keeps diffusion-weighted images so, the images varying fastest."""
    array = noise(sizes[::-1], dtype)
    names = {"uint8": "uchar", "int16": "short", "float32": "float"}
    kinds = " ".join(["list", *["domain"] * (len(sizes) - 1)])
    text = (
        f"NRRD0004\ntype: {names[dtype]}\ndimension: {len(sizes)}\nsizes: {' '.join(map(str, sizes))}\nkinds: {kinds}\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{text}endian: little\nencoding: raw\n\n".encode() + array.tobytes())
    stack = read_nrrd(path)
    images = np.moveaxis(array, -1, 0)
    np.testing.assert_array_equal(stack.slices, images.reshape(-1, *images.shape[-2:]))
    stack.write(stack, stack.slices, [tmp_path / "b.nrrd"])
    assert (tmp_path / "b.nrrd").read_bytes() == path.read_bytes()
