# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI files come back with every byte but the voxels', as nibabel and SimpleITK read them."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from nibabel.testing import data_path

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.nifti import read_nifti

# An oblique, flipped geometry.
AFFINE = np.array([[-0.7, 0, 0, 11], [0, 0.768, -0.7, -7], [0, 0.224, 2.4, 3.5], [0, 0, 0, 1]])
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def noise(shape, dtype="int16", seed=0) -> np.ndarray:
    return (np.random.RandomState(seed).rand(*shape) * 120).astype(dtype)


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.name.lower().endswith(".gz") else data


def rewrite(path: Path, change=lambda slices: slices, **options) -> Path:
    stack = read_nifti(path, **options)
    output = path.parent / "out" / path.name
    stack.write(stack, change(stack.slices), [output])
    assert [each.name for each in output.parent.iterdir()] == [output.name]
    return output


def stored(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj.get_unscaled())


def make(path: Path, array, zooms=(), **header) -> Path:
    image = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype)
    if zooms:
        image = nibabel.Nifti1Image(array, np.diag([*(*zooms, 1, 1)[:3], 1]), dtype=array.dtype)
        image.header.set_zooms(zooms)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
def test_dtypes(tmp_path, name, dtype):
    path = make(tmp_path / name, noise((7, 6, 5), dtype))
    stack = read_nifti(path)
    assert stack.slices.dtype == dtype and stack.slices.shape == (5, 6, 7)
    np.testing.assert_array_equal(stack.slices, stored(path).T)
    assert content(rewrite(path)) == content(path)
    new = rewrite(path, lambda slices: slices[:, ::-1].copy())
    np.testing.assert_array_equal(stored(new), stored(path)[:, ::-1])
    assert nibabel.load(new).header == nibabel.load(path).header
    if dtype not in ("uint64", "int64"):
        seen = SimpleITK.ReadImage(str(new))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(seen), stored(path).T[:, ::-1])
        assert seen.GetDirection() == SimpleITK.ReadImage(str(path)).GetDirection()


# shape, slice axis, shape of the slices
SHAPES = [
    ((7, 6), None, (1, 6, 7)),
    ((7, 6, 1), None, (1, 6, 7)),
    ((7, 1, 5), None, (1, 5, 7)),
    ((1, 6, 5), None, (1, 5, 6)),
    ((7, 6, 5), None, (5, 6, 7)),
    ((7, 6, 5), 0, (7, 5, 6)),
    ((7, 6, 5), 1, (6, 5, 7)),
    ((7, 6, 5, 3), None, (15, 6, 7)),
    ((7, 6, 5, 3), 0, (21, 5, 6)),
    ((7, 6, 5, 3), 1, (18, 5, 7)),
    ((7, 6, 1, 3), None, (3, 6, 7)),
    ((7, 6, 5, 1, 1), None, (5, 6, 7)),
    ((7, 6, 5, 2, 1), None, (10, 6, 7)),
]


@pytest.mark.parametrize(("shape", "axis", "expected"), SHAPES)
def test_shapes(tmp_path, shape, axis, expected):
    path = make(tmp_path / "a.nii", noise(shape))
    stack = read_nifti(path, axis)
    assert stack.slices.shape == expected
    volumes = stored(path).reshape(*shape, *(1,) * (5 - len(shape)))[..., 0]
    cut = stack.cut.axis
    for number in range(len(stack.slices)):
        time, index = divmod(number, volumes.shape[cut])
        np.testing.assert_array_equal(stack.slices[number], np.take(volumes[..., time], index, cut).T)
    assert content(rewrite(path, slice_axis=axis)) == content(path)
    new = rewrite(path, lambda slices: slices + 1, slice_axis=axis)
    np.testing.assert_array_equal(stored(new), stored(path) + 1)


@pytest.mark.parametrize(
    ("zooms", "axis"),
    [((1, 1, 3), 2), ((3, 1, 1), 0), ((1, 3, 1), 1), ((1, 1, 1), 2), ((3, 1, 3), 2), ((2.0002, 2, 2), 2)],
)
def test_slices_are_cut_across_the_coarsest_axis(tmp_path, zooms, axis):
    stack = read_nifti(make(tmp_path / "a.nii", noise((7, 6, 5)), zooms, xyzt_units=2))
    assert stack.cut.axis == axis
    row, column = [other for other in (2, 1, 0) if other != axis]
    np.testing.assert_allclose(stack.spacing, (zooms[axis], zooms[row], zooms[column]), rtol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [(0, None), (1, 1000), (2, 1), (3, 0.001)])
def test_spacing_is_in_millimeters_where_the_unit_is_known(tmp_path, unit, factor):
    spacing = read_nifti(make(tmp_path / "a.nii", noise((7, 6, 5)), (1, 2, 4), xyzt_units=unit)).spacing
    assert spacing == (None if factor is None else pytest.approx((4 * factor, 2 * factor, factor)))


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [(2.0, -1024.0, (2, -1024)), (0.0, 5.0, (1, 0)), (np.nan, np.nan, (1, 0)), (-0.5, 3.0, (-0.5, 3))],
)
def test_scaling_is_told_and_kept(tmp_path, slope, inter, expected):
    path = make(tmp_path / "a.nii", noise((7, 6, 5)))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([slope, inter], "<f4").tobytes()
    path.write_bytes(data)
    stack = read_nifti(path)
    assert (stack.slope, stack.intercept) == expected
    np.testing.assert_allclose(stack.real(), nibabel.load(path).get_fdata().T)
    assert content(rewrite(path)) == content(path)


def test_everything_in_the_header_is_kept(tmp_path):
    image = nibabel.Nifti1Image(noise((7, 6, 5), "float32"), AFFINE)
    image.set_qform(np.diag([2, 3, 4, 1]), code=2)
    image.set_sform(AFFINE, code=4)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"words"))
    image.header["descrip"], image.header["cal_max"], image.header["cal_min"] = b"a scan", 100, -3
    image.header.set_intent("t test", (12,))
    image.header["slice_code"], image.header["toffset"] = 3, 1.5
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    offset = nibabel.load(path).dataobj.offset
    assert offset > 352  # for the extension
    after = rewrite(path, lambda slices: slices * 2).read_bytes()
    assert after[:offset] == path.read_bytes()[:offset]
    np.testing.assert_array_equal(stored(tmp_path / "out" / "a.nii"), stored(path) * 2)


def test_bytes_after_the_voxels_are_kept(tmp_path):
    path = make(tmp_path / "a.nii", noise((7, 6, 5)))
    path.write_bytes(path.read_bytes() + b"trailer")
    assert rewrite(path, lambda slices: slices + 1).read_bytes().endswith(b"trailer")


@pytest.mark.parametrize("dtype", ["int16", "float64", "uint8"])
def test_big_endian_files_stay_so(tmp_path, dtype):
    array = noise((7, 6, 5), dtype)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(dtype)
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE, header), path)
    assert nibabel.load(path).header.endianness == ">"
    stack = read_nifti(path)
    assert stack.slices.dtype.isnative
    np.testing.assert_array_equal(stack.slices, array.T)
    new = rewrite(path, lambda slices: slices + 1)
    assert nibabel.load(new).header.endianness == ">"
    np.testing.assert_array_equal(stored(new), array + 1)
    assert rewrite(path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("shape", [(7, 6), (7, 6, 5), (7, 6, 5, 2)])
@pytest.mark.parametrize("axis", [None, 1])
def test_color(tmp_path, shape, axis):
    array = noise((*shape, 3), "uint8")
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array.view(RGB)[..., 0], AFFINE), path)
    stack = read_nifti(path, axis)
    assert stack.slices.dtype == np.uint8 and stack.slices.shape[-1] == 3 and stack.slices.size == array.size
    if axis is None:
        np.testing.assert_array_equal(
            stack.slices[0], np.swapaxes(array[(..., *(0,) * (len(shape) - 2), slice(None))], 0, 1)
        )
    assert content(rewrite(path, slice_axis=axis)) == content(path)
    new = stored(rewrite(path, lambda slices: 255 - slices, slice_axis=axis))
    assert new.dtype == RGB
    np.testing.assert_array_equal(np.ascontiguousarray(new).view("u1").reshape(array.shape), 255 - array)


def test_nifti2(tmp_path):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti2Image(noise((7, 6, 5)), AFFINE), path)
    assert rewrite(path).read_bytes() == path.read_bytes()
    np.testing.assert_array_equal(stored(rewrite(path, lambda slices: slices + 1)), stored(path) + 1)


@pytest.mark.parametrize(
    "name",
    ["anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii", "standard.nii.gz"],
)
def test_nibabels_own_files(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(Path(data_path, name).read_bytes())
    image = nibabel.load(path)
    stack = read_nifti(path)
    for axis in (None, 0):
        assert content(rewrite(path, slice_axis=axis)) == content(path)
    real = image.get_fdata().reshape(*image.shape, *(1,) * (4 - image.ndim))
    cut = stack.cut.axis
    np.testing.assert_allclose(stack.real(1), np.take(real[..., 0], 1, cut).T, rtol=1e-6)
    np.testing.assert_allclose(stack.real(-1), np.take(real[..., -1], -1, cut).T, rtol=1e-6)


def test_equal_images_give_equal_files(tmp_path):
    path = make(tmp_path / "a.nii.gz", noise((7, 6, 5)))
    first = rewrite(path).read_bytes()
    assert rewrite(path).read_bytes() == first


def test_infinite_values_are_counted(tmp_path):
    array = noise((7, 6, 5), "float32")
    array[0, 0, 0], array[1, 2, 3], array[3, 3, 3] = np.nan, np.inf, -np.inf
    with pytest.raises(FormatError, match="2 of 210 values are infinite"):
        read_nifti(make(tmp_path / "a.nii", array))


def cut(path):
    make(path, np.random.RandomState(0).rand(16, 16, 16))
    path.write_bytes(path.read_bytes()[:-3])


def rgba(path):
    array = np.zeros((7, 6), [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)


@pytest.mark.parametrize(
    ("name", "write", "cause"),
    [
        ("a.nii", cut, "truncated"),
        ("a.nii.gz", cut, "ended before"),
        ("a.nii", lambda path: make(path, noise((7, 6, 5), "complex64")), "complex"),
        ("a.nii", lambda path: make(path, noise((7, 6, 5, 1, 3))), "shape"),
        ("a.nii", lambda path: make(path, noise((7,))), "shape"),
        ("a.nii", lambda path: make(path, noise((7, 0, 5))), "no pixels|cannot be read"),
        ("a.nii", rgba, "RGBA"),
        ("a.nii", lambda path: path.write_bytes(b"words " * 200), "not a NIfTI"),
        ("a.nii.gz", lambda path: path.write_bytes(b"words " * 200), "not a NIfTI"),
        ("a.nii", lambda path: path.write_bytes(Path(data_path, "row_major.dconn.nii").read_bytes()), "Cifti2"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(tmp_path, name, write, cause):
    write(tmp_path / name)
    with pytest.raises(FormatError, match=cause) as caught:
        read_nifti(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_an_axis_that_is_none_is_refused(tmp_path):
    with pytest.raises(FormatError, match="axis 3"):
        read_nifti(make(tmp_path / "a.nii", noise((7, 6, 5))), slice_axis=3)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_pair_keeps_its_header_and_all_but_the_voxels(tmp_path, kind, ending):
    array = noise((7, 6, 5), "int16")
    nibabel.save(kind(array, np.diag([1, 2, 3, 1])), tmp_path / f"a.hdr{ending}")
    stack = read_nifti(tmp_path / f"a.hdr{ending}")
    np.testing.assert_array_equal(stack.slices, array.T)
    stack.write(stack, stack.slices // 2, [tmp_path / "out" / f"b.hdr{ending}"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"b.hdr{ending}", f"b.img{ending}"]
    result = nibabel.load(tmp_path / "out" / f"b.hdr{ending}")
    np.testing.assert_array_equal(result.dataobj, array // 2)
    assert (tmp_path / "out" / f"b.hdr{ending}").read_bytes() == (tmp_path / f"a.hdr{ending}").read_bytes()


def test_half_a_pair_and_pairs_without_orientation_are_refused(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(noise((7, 6, 5), "int16"), None), tmp_path / "a.hdr")
    with pytest.raises(FormatError, match=r"is a .*; save it as NIfTI first"):
        read_nifti(tmp_path / "a.hdr")
    nibabel.save(nibabel.Nifti1Pair(noise((7, 6, 5), "int16"), np.eye(4)), tmp_path / "b.hdr")
    (tmp_path / "b.img").unlink()
    with pytest.raises(FormatError, match=r"b\.img: no such file"):
        read_nifti(tmp_path / "b.hdr")
