# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""TIFF files come back with every tag, as tifffile, Pillow and SimpleITK read them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.tiff import read_tiff

ROWS, COLUMNS = 37, 29
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
# Where strips and tiles lie may change with their size.
PLACES = (273, 279, 324, 325)
COMPRESSIONS = ["none", "zlib", "lzw", "packbits", "zstd", "lzma"]


def noise(shape, dtype="uint16", seed=0) -> np.ndarray:
    return (np.random.RandomState(seed).rand(*shape) * 120).astype(dtype)


def make(path: Path, array, photometric="minisblack", **options) -> Path:
    if options.get("compression") not in (None, "none", "zlib", "lzma"):
        pytest.importorskip("imagecodecs")
    if options.get("compression") == "none":
        del options["compression"]
    tifffile.imwrite(path, array, photometric=photometric, **options)
    return path


def rewrite(path: Path, change=lambda slices: slices) -> Path:
    stack = read_tiff(path)
    output = path.parent / "out" / path.name
    stack.write(stack, change(stack.slices), [output])
    assert [each.name for each in output.parent.iterdir()] == [output.name]
    return output


def tags(path: Path) -> list[dict]:
    with tifffile.TiffFile(path) as tiff:
        return [{tag.code: tag.value for tag in page.tags if tag.code not in PLACES} for page in tiff.pages]


def check(path: Path, expected: np.ndarray) -> None:
    """Read, written unchanged, and written reversed: ``expected`` are the slices."""
    stack = read_tiff(path)
    assert stack.slices.dtype == expected.dtype and stack.slices.dtype.isnative
    np.testing.assert_array_equal(stack.slices, expected)
    assert rewrite(path).read_bytes() == path.read_bytes()
    new = rewrite(path, lambda slices: slices[:, ::-1].copy())
    np.testing.assert_array_equal(tifffile.imread(new, key=slice(None)).reshape(expected.shape), expected[:, ::-1])
    assert tags(new) == tags(path)
    with tifffile.TiffFile(new) as after, tifffile.TiffFile(path) as before:
        assert (after.byteorder, after.is_bigtiff) == (before.byteorder, before.is_bigtiff)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_dtypes_and_byte_orders(tmp_path, dtype, byteorder):
    array = noise((ROWS, COLUMNS), dtype)
    path = make(tmp_path / "a.tif", array, byteorder=byteorder, description="left hand", resolution=(300, 150, 3))
    check(path, array[None])
    stack = read_tiff(path)
    assert (stack.unit, stack.modality, stack.slope, stack.intercept, stack.spacing) == ("", None, 1, 0, None)
    assert stack.inverted is False


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_compressions_and_layouts(tmp_path, compression, layout, byteorder):
    array = noise((2, ROWS, COLUMNS), "uint16")
    check(make(tmp_path / "a.tif", array, compression=compression, byteorder=byteorder, **layout), array)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}])
def test_predictors(tmp_path, dtype, byteorder, layout):
    pytest.importorskip("imagecodecs")
    array = noise((ROWS, COLUMNS, 3), dtype)
    path = make(tmp_path / "a.tif", array, "rgb", compression="zlib", predictor=True, byteorder=byteorder, **layout)
    assert tags(path)[0][317] == (3 if dtype.startswith("f") else 2)
    check(path, array[None])


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("pages", [1, 3])
def test_color(tmp_path, bigtiff, compression, pages):
    array = noise((pages, ROWS, COLUMNS, 3), "uint8")
    check(make(tmp_path / "a.tif", array, "rgb", bigtiff=bigtiff, compression=compression), array)


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}])
@pytest.mark.parametrize("channels", [3, 4])
def test_planes(tmp_path, compression, layout, channels):
    array = noise((channels, ROWS, COLUMNS))
    path = make(tmp_path / "a.tif", array, "rgb", planarconfig="separate", compression=compression, **layout)
    colors = np.moveaxis(array[:3], 0, -1)
    np.testing.assert_array_equal(read_tiff(path).slices, colors[None])
    assert rewrite(path).read_bytes() == path.read_bytes()
    after = tifffile.imread(rewrite(path, lambda slices: slices + 7))
    np.testing.assert_array_equal(after[:3], array[:3] + 7)
    np.testing.assert_array_equal(after[3:], array[3:])


@pytest.mark.parametrize(("photometric", "channels"), [("rgb", 4), ("rgb", 5), ("minisblack", 2)])
@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_transparency_is_not_touched(tmp_path, photometric, channels, compression):
    array = noise((ROWS, COLUMNS, channels), "uint8")
    extra = ["unassalpha", "unspecified"][: channels - (3 if photometric == "rgb" else 1)]
    options = {"planarconfig": "contig", "extrasamples": extra, "compression": compression}
    path = make(tmp_path / "a.tif", array, photometric, **options)
    count = 3 if photometric == "rgb" else 1
    np.testing.assert_array_equal(read_tiff(path).slices.reshape(ROWS, COLUMNS, count), array[..., :count])
    after = tifffile.imread(rewrite(path, lambda slices: slices + 7))
    np.testing.assert_array_equal(after[..., :count], array[..., :count] + 7)
    np.testing.assert_array_equal(after[..., count:], array[..., count:])


def test_inverted_gray_is_told_and_kept(tmp_path):
    path = make(tmp_path / "a.tif", noise((ROWS, COLUMNS)), "miniswhite", extratags=[(274, "H", 1, 3, True)])
    stack = read_tiff(path)
    assert stack.inverted
    np.testing.assert_array_equal(stack.slices[0], noise((ROWS, COLUMNS)))
    new = tags(rewrite(path, lambda slices: slices + 1))[0]
    assert new[262] == 0 and new[274] == 3


def test_private_tags_profiles_and_times_are_kept(tmp_path):
    path = make(
        tmp_path / "a.tif",
        noise((ROWS, COLUMNS)),
        iccprofile=b"profile",
        software="scanner",
        datetime="2024:01:02 03:04:05",
        extratags=[(65000, "s", 0, "private", True), (65001, "d", 2, (1.5, 2.5), True)],
        compression="zlib",
    )
    before, after = tags(path)[0], tags(rewrite(path, lambda slices: slices * 3))[0]
    assert after == before and {34675, 305, 306, 65000, 65001} <= set(after)


@pytest.mark.parametrize("truncate", [False, True])
def test_imagej(tmp_path, truncate):
    array = noise((5, ROWS, COLUMNS))
    metadata = {"spacing": 3.0, "unit": "um", "axes": "ZYX", "min": 3, "max": 70}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, imagej=True, metadata=metadata, truncate=truncate, resolution=(2, 2))
    np.testing.assert_array_equal(read_tiff(path).slices, array)
    assert rewrite(path).read_bytes() == path.read_bytes()
    new = rewrite(path, lambda slices: slices + 1)
    np.testing.assert_array_equal(tifffile.imread(new), array + 1)
    with tifffile.TiffFile(new) as after, tifffile.TiffFile(path) as before:
        assert after.imagej_metadata == before.imagej_metadata and len(after.pages) == (1 if truncate else 5)


def test_one_page_that_describes_a_volume(tmp_path):
    array = noise((5, ROWS, COLUMNS, 3), "float32")
    path = make(tmp_path / "a.tif", array, "rgb", truncate=True, byteorder=">")
    np.testing.assert_array_equal(read_tiff(path).slices, array)
    np.testing.assert_array_equal(tifffile.imread(rewrite(path, lambda slices: slices + 1)), array + 1)


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_ome(tmp_path, compression):
    array = noise((3, 2, ROWS, COLUMNS))
    path = make(
        tmp_path / "a.ome.tif",
        array,
        compression=compression,
        metadata={"axes": "ZCYX", "PhysicalSizeX": 0.3, "Channel": {"Name": ["a", "b"]}},
    )
    check(path, array.reshape(6, ROWS, COLUMNS))
    with tifffile.TiffFile(rewrite(path, lambda slices: slices + 1)) as after, tifffile.TiffFile(path) as before:
        assert after.ome_metadata == before.ome_metadata and "PhysicalSizeX" in after.ome_metadata
        np.testing.assert_array_equal(after.series[0].asarray().reshape(array.shape), array + 1)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (ROWS, COLUMNS, 3), (ROWS, COLUMNS, 4)])
def test_files_that_pillow_wrote_and_reads(tmp_path, compression, shape):
    if compression in ("tiff_lzw", "packbits"):
        pytest.importorskip("imagecodecs")
    array, path = noise(shape, "uint8"), tmp_path / "a.tif"
    Image.fromarray(array).save(path, compression=compression, dpi=(300, 300))
    assert rewrite(path).read_bytes() == path.read_bytes()
    with Image.open(rewrite(path, lambda slices: 255 - slices)) as after, Image.open(path) as before:
        assert (after.mode, after.info) == (before.mode, before.info)
        colors = 3 if len(shape) == 3 else COLUMNS
        expected = array.copy()
        expected[..., :colors] = 255 - expected[..., :colors]
        np.testing.assert_array_equal(np.asarray(after), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_simpleitk_reads_the_same(tmp_path, dtype):
    array = noise((4, ROWS, COLUMNS), dtype)
    path = tmp_path / "a.tif"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    np.testing.assert_array_equal(read_tiff(path).slices, array)
    new = SimpleITK.ReadImage(str(rewrite(path, lambda slices: slices + 1)))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(new), array + 1)


def test_denoised_pages_that_compress_better_need_no_more_room(tmp_path):
    path = make(tmp_path / "a.tif", noise((3, ROWS, COLUMNS)), compression="zlib")
    new = rewrite(path, np.zeros_like)
    assert new.stat().st_size == path.stat().st_size
    with tifffile.TiffFile(new) as tiff:
        assert all(page.databytecounts[0] < 100 for page in tiff.pages)
    # Nothing of the old pixels is left behind.
    with tifffile.TiffFile(path) as tiff:
        begin, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    assert not any(new.read_bytes()[begin + 100 : begin + length])


def test_packbits_runs_do_not_cross_rows(tmp_path):
    path = make(tmp_path / "a.tif", noise((16, 16), "uint8"), compression="packbits")
    with tifffile.TiffFile(rewrite(path, np.zeros_like)) as tiff:
        assert tiff.pages[0].databytecounts == (2 * 16,)


def test_tiles_that_share_one_place_are_told_apart(tmp_path):
    path = make(tmp_path / "a.tif", noise((32, 16)), tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        first = tiff.pages[0].dataoffsets[0]
        tiff.pages[0].tags[324].overwrite((first, first))
    tile = noise((32, 16))[:16]
    np.testing.assert_array_equal(read_tiff(path).slices[0], np.concatenate([tile, tile]))
    new = noise((32, 16), seed=1)
    np.testing.assert_array_equal(tifffile.imread(rewrite(path, lambda _: new[None])), new)


def test_a_file_can_take_its_own_place(tmp_path):
    path = make(tmp_path / "a.tif", noise((3, ROWS, COLUMNS)), compression="zlib")
    stack = read_tiff(path)
    stack.write(stack, stack.slices + 1, [path])
    np.testing.assert_array_equal(tifffile.imread(path), noise((3, ROWS, COLUMNS)) + 1)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    path = make(tmp_path / "a.tif", noise((ROWS, COLUMNS)))
    stack = read_tiff(path)
    os.utime(path, (1, 1))
    with pytest.raises(FormatError, match="changed"):
        stack.write(stack, stack.slices, [tmp_path / "b.tif"])
    path.unlink()
    with pytest.raises(FormatError, match="changed or moved"):
        stack.write(stack, stack.slices, [tmp_path / "b.tif"])
    assert not list(tmp_path.iterdir())


def one_bit(path):
    Image.new("1", (9, 9)).save(path)


def palette(path):
    Image.fromarray(noise((ROWS, COLUMNS, 3), "uint8")).quantize(16).save(path)


def cmyk(path):
    Image.new("CMYK", (9, 9)).save(path)


def jpeg(path):
    Image.fromarray(noise((16, 16), "uint8")).save(path, compression="jpeg")


def twelve_bit(path):
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(path, noise((8, 8)), photometric="minisblack", bitspersample=12)


def pyramid(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise((64, 64)), photometric="minisblack", subifds=1)
        writer.write(noise((32, 32)), photometric="minisblack", subfiletype=1)


def flat_pyramid(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise((64, 64)), photometric="minisblack")
        writer.write(noise((32, 32)), photometric="minisblack", subfiletype=1)


def different_pages(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise((64, 64)), photometric="minisblack")
        writer.write(noise((32, 32)), photometric="minisblack")


def different_dtypes(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise((64, 64)), photometric="minisblack")
        writer.write(noise((64, 64), "uint8"), photometric="minisblack")


def cut(path):
    make(path, noise((4, ROWS, COLUMNS)), metadata=None)
    # The pixels of the last page are moved beyond the end.
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[3].tags[273].overwrite(path.stat().st_size - 50)


def with_nan(path):
    array = noise((2, ROWS, COLUMNS), "float32")
    array[1, 3, 4], array[0, 0, 0] = np.nan, np.inf
    make(path, array)


@pytest.mark.parametrize(
    ("write", "cause"),
    [
        (one_bit, "1-bit"),
        (palette, "PALETTE"),
        (cmyk, "SEPARATED"),
        (jpeg, "JPEG"),
        (twelve_bit, "12-bit"),
        (pyramid, "pyramid"),
        (flat_pyramid, "pyramid"),
        (different_pages, "pages differ"),
        (different_dtypes, "pages differ"),
        (cut, "truncated"),
        (with_nan, "1 of 2146 values are infinite"),
        (lambda path: make(path, noise((9, 9), "complex64")), "complex"),
        (lambda path: make(path, noise((9, 9, 3)), planarconfig="contig"), "3 channels"),
        (lambda path: path.write_bytes(b"words " * 99), "not a TIFF"),
        (lambda path: path.write_bytes(b"II*\0" + b"\xff" * 40), "no page"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(tmp_path, write, cause):
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(FormatError, match=cause) as caught:
        read_tiff(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("codecs", "options"), [("COMPRESSORS", {}), ("PREDICTORS", {"predictor": True})])
def test_a_missing_package_is_named_before_anything_is_denoised(tmp_path, monkeypatch, codecs, options):
    pytest.importorskip("imagecodecs")
    path = make(tmp_path / "a.tif", noise((ROWS, COLUMNS)), compression="lzw", **options)
    monkeypatch.setattr(tifffile.TIFF, codecs, {})
    with pytest.raises(FormatError, match=r"LZW.*pip install noisewise\[tiff\]"):
        read_tiff(path)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_directories_in_a_circle_are_refused(tmp_path, bigtiff, byteorder, target):
    path = tmp_path / "a.tif"
    array = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    tifffile.imwrite(path, array, bigtiff=bigtiff, byteorder=byteorder, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        offsets = [page.offset for page in tiff.pages]
        entries = len(tiff.pages[2].tags)
    np.testing.assert_array_equal(read_tiff(path).slices, array)
    order = "little" if byteorder == "<" else "big"
    place = offsets[2] + (8 + 20 * entries if bigtiff else 2 + 12 * entries)
    content = bytearray(path.read_bytes())
    width = 8 if bigtiff else 4
    assert content[place : place + width] == bytes(width)
    content[place : place + width] = offsets[target].to_bytes(width, order)
    path.write_bytes(content)
    with pytest.raises(FormatError, match="in a circle"):
        read_tiff(path)
