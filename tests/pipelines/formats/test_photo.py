# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PNG, JPEG and BMP come back as Pillow, SimpleITK and a decoder of our own read them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import ExifTags, Image, PngImagePlugin

from noisewise.pipelines.formats import FormatError
from noisewise.pipelines.formats.photo import read_bmp, read_jpeg, read_png

ROWS, COLUMNS = 21, 34
READERS = {".png": read_png, ".jpg": read_jpeg, ".bmp": read_bmp}


def noise(shape, dtype="uint8", seed=0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def read(path: Path):
    return READERS[path.suffix](path)


def rewrite(path: Path, change=lambda slices: slices) -> Path:
    """Read, change, write beside."""
    stack = read(path)
    output = path.parent / "out" / path.name
    stack.write(stack, change(stack.slices), [output])
    assert [each.name for each in output.parent.iterdir()] == [output.name]
    return output


def png(path: Path, bits: int, color_type: int, rows: bytes, chunks=(), size=(COLUMNS, ROWS)) -> Path:
    """A PNG made without any library."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *size, bits, color_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*each) for each in chunks), chunk(b"IDAT", zlib.compress(rows))]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))
    return path


def png_rows(array: np.ndarray) -> bytes:
    """Unfiltered rows, big-endian."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in array)


def png_chunks(path: Path) -> dict[bytes, bytes]:
    data, position, chunks = path.read_bytes(), 8, {}
    while position < len(data):
        length = int.from_bytes(data[position : position + 4])
        name, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert zlib.crc32(name + content) == int.from_bytes(data[position + 8 + length : position + 12 + length])
        chunks[name] = chunks.get(name, b"") + content
        position += 12 + length
    return chunks


def decode_png16(path: Path) -> np.ndarray:
    """An independent decoder of 16-bit color, by the standard's five filters."""
    chunks = png_chunks(path)
    width, height, bits, color_type = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    channels = {2: 3, 6: 4}[color_type]
    assert bits == 16
    step, stride = 2 * channels, 2 * channels * width
    data, above, rows = zlib.decompress(chunks[b"IDAT"]), [0] * stride, []
    for row in range(height):
        kind, *line = data[row * (stride + 1) : (row + 1) * (stride + 1)]
        for i in range(stride):
            a, b = (line[i - step] if i >= step else 0), above[i]
            c = above[i - step] if i >= step else 0
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        rows.append(line)
        above = line
    return np.array(rows, np.uint8).view(">u2").reshape(height, width, channels).astype(np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (ROWS, COLUMNS, 3), (1, COLUMNS), (ROWS, 1, 3)])
def test_eight_bits_come_back(tmp_path, suffix, shape):
    path, array, new = tmp_path / f"a{suffix}", noise(shape), noise(shape, seed=1)
    Image.fromarray(array).save(path, dpi=(300, 150))
    stack = read(path)
    np.testing.assert_array_equal(stack.slices, array[None])
    assert (stack.unit, stack.modality, stack.slope, stack.intercept, stack.spacing) == ("", None, 1, 0, None)
    assert rewrite(path).read_bytes() == path.read_bytes()
    output = rewrite(path, lambda _: new[None])
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(output)))
    if suffix == ".bmp" and new.ndim == 2:  # SimpleITK gives a gray BMP three equal channels
        new = np.stack([new] * 3, -1)
    np.testing.assert_array_equal(seen, new)
    with Image.open(output) as after, Image.open(path) as before:
        assert (after.mode, after.size, after.info) == (before.mode, before.size, before.info)


def test_sixteen_bit_gray(tmp_path):
    path, array, new = tmp_path / "a.png", noise((ROWS, COLUMNS), "uint16"), noise((ROWS, COLUMNS), "uint16", 1)
    Image.fromarray(array).save(path)
    np.testing.assert_array_equal(read(path).slices[0], array)
    output = rewrite(path, lambda _: new[None])
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(output))), new)


@pytest.mark.parametrize(("channels", "color_type"), [(3, 2), (4, 6)])
def test_sixteen_bit_color_which_pillow_cannot_read(tmp_path, channels, color_type):
    array = noise((ROWS, COLUMNS, channels), "uint16")
    path = png(tmp_path / "a.png", 16, color_type, png_rows(array), [(b"pHYs", b"\0\0\0\x10\0\0\0\x20\x01")])
    np.testing.assert_array_equal(read(path).slices, array[None, ..., :3])
    new = array.copy()
    new[..., :3] = noise((ROWS, COLUMNS, 3), "uint16", 1)
    output = rewrite(path, lambda _: new[None, ..., :3])
    np.testing.assert_array_equal(decode_png16(output), new)
    assert png_chunks(output)[b"pHYs"] == png_chunks(path)[b"pHYs"]


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 4), ("LA", 2)])
def test_transparency_is_not_touched(tmp_path, mode, channels):
    path, array = tmp_path / "a.png", noise((ROWS, COLUMNS, channels))
    Image.fromarray(array, mode).save(path)
    assert read(path).slices.ndim == (4 if channels == 4 else 3)
    with Image.open(rewrite(path, lambda slices: 255 - slices)) as after:
        assert after.mode == mode
        np.testing.assert_array_equal(np.asarray(after)[..., :-1], 255 - array[..., :-1])
        np.testing.assert_array_equal(np.asarray(after)[..., -1], array[..., -1])


@pytest.mark.parametrize("transparency", [None, b"\0\x80"])
def test_palettes_become_colors(tmp_path, transparency):
    image = Image.fromarray(noise((ROWS, COLUMNS, 3))).quantize(16)
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "a.png", **options)
    image.save(tmp_path / "a.bmp")
    colors = np.asarray(image.convert("RGB"))
    for name in ("a.png", "a.bmp"):
        np.testing.assert_array_equal(read(tmp_path / name).slices[0], colors)
        with Image.open(rewrite(tmp_path / name)) as after:
            assert after.mode == ("RGBA" if transparency and name == "a.png" else "RGB")
            np.testing.assert_array_equal(np.asarray(after.convert("RGB")), colors)
        if name == "a.png":
            assert not {b"PLTE", b"tRNS"} & set(png_chunks(tmp_path / "out" / name))
        (tmp_path / "out" / name).unlink()


@pytest.mark.parametrize(("shape", "color_type"), [((ROWS, COLUMNS), 0), ((ROWS, COLUMNS, 3), 2)])
def test_a_transparent_level_becomes_an_alpha_channel(tmp_path, shape, color_type):
    """What a level or color marks would not be marked any more when it changes."""
    array = noise(shape)
    key = b"".join(int(value).to_bytes(2) for value in np.ravel(array[3, 4]))
    path = png(tmp_path / "a.png", 8, color_type, png_rows(array), [(b"tRNS", key)])
    np.testing.assert_array_equal(read(path).slices[0], array)
    marked = (array == array[3, 4]).reshape(ROWS, COLUMNS, -1).all(-1)
    with Image.open(rewrite(path, lambda slices: slices // 2)) as after:
        assert after.mode == ("LA" if color_type == 0 else "RGBA")
        pixels = np.asarray(after)
    np.testing.assert_array_equal(pixels[..., -1], np.where(marked, 0, 255))
    np.testing.assert_array_equal(pixels[..., :-1].reshape(shape), array // 2)


def test_blank_images_are_not_taken_for_damaged_ones(tmp_path):
    for name, size in (("a.png", (6000, 6000)), ("a.jpg", (3000, 3000))):
        Image.new("L", size, 9).save(tmp_path / name, quality=1, progressive=True, optimize=True)
        assert read(tmp_path / name).slices.shape == (1, *size)


def test_gray_of_few_bits_is_expanded(tmp_path):
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    rows = b"".join(b"\0" + bytes([row[0] << 4 | row[1], row[2] << 4 | row[3]]) for row in levels)
    path = png(tmp_path / "a.png", 4, 0, rows, size=(4, 4))
    np.testing.assert_array_equal(read(path).slices[0], levels * 17)
    with Image.open(rewrite(path)) as after:
        np.testing.assert_array_equal(np.asarray(after), levels * 17)


def test_all_that_a_png_says_is_kept(tmp_path):
    info, exif = PngImagePlugin.PngInfo(), Image.Exif()
    info.add_text("Comment", "left hand")
    info.add_itxt("Titel", "Größe", zip=True)
    info.add(b"gAMA", (45455).to_bytes(4))
    info.add(b"prVt", b"private")
    info.add(b"tIME", b"\x07\xe8\1\2\3\4\5", after_idat=True)
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "a.png"
    Image.fromarray(noise((ROWS, COLUMNS))).save(path, pnginfo=info, exif=exif, icc_profile=b"profile", dpi=(72, 36))
    before, after = png_chunks(path), png_chunks(rewrite(path, lambda slices: slices // 2))
    assert {b"tEXt", b"iTXt", b"gAMA", b"prVt", b"tIME", b"eXIf", b"iCCP", b"pHYs"} < set(before)
    del before[b"IDAT"], after[b"IDAT"]
    assert list(after.items()) == list(before.items())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 100, "subsampling": 0},
        {"quality": 60, "subsampling": 1, "progressive": True},
        {"quality": 30, "subsampling": 2},
        {"keep_rgb": True},
    ],
)
def test_a_jpeg_keeps_its_tables_and_sampling(tmp_path, options):
    # Smooth, so that chroma subsampling and quantization hardly matter.
    y, x = np.mgrid[:40, :56]
    array = np.stack([x * 4, y * 5, 250 - x * 2], -1).astype(np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(array).save(path, **options)
    output = rewrite(path, lambda slices: 255 - slices)
    with Image.open(path) as before, Image.open(output) as after:
        assert after.quantization == before.quantization and after.layer == before.layer
        assert after.info == before.info
        difference = np.asarray(after).astype(int) - (255 - np.asarray(before))
        assert np.abs(difference).mean() < 6


def test_a_gray_jpeg_stays_gray(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(noise((ROWS, COLUMNS))).save(path, quality=100)
    assert read(path).slices.shape == (1, ROWS, COLUMNS)
    with Image.open(rewrite(path)) as after, Image.open(path) as before:
        assert after.mode == "L"
        np.testing.assert_allclose(np.asarray(after).astype(int), np.asarray(before), atol=1)


def test_all_that_a_jpeg_says_is_kept(tmp_path):
    exif, path = Image.Exif(), tmp_path / "a.jpg"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "camera"
    options = {"dpi": (100, 100), "comment": b"words", "icc_profile": b"profile", "xmp": b"<x/>"}
    Image.fromarray(noise((ROWS, COLUMNS, 3))).save(path, exif=exif, **options)
    with Image.open(path) as before, Image.open(rewrite(path)) as after:
        assert {"exif", "dpi", "comment", "icc_profile", "xmp"} <= set(before.info)
        assert after.info == before.info and after.size == before.size == (COLUMNS, ROWS)


def one_bit(path):
    Image.new("1", (8, 8)).save(path)


def animated(path):
    Image.new("L", (8, 8)).save(path, save_all=True, append_images=[Image.new("L", (8, 8), 9)])


def deep_with_key(path):
    png(path, 16, 0, png_rows(noise((ROWS, COLUMNS), "uint16")), [(b"tRNS", b"\0\1")])


def deep_gray_alpha(path):
    png(path, 16, 4, png_rows(noise((ROWS, COLUMNS, 2), "uint16")))


def bomb(path):
    png(path, 8, 0, b"\0" * 10, size=(20_000, 20_000))


def cmyk(path):
    Image.new("CMYK", (8, 8)).save(path)


def several(path):
    Image.new("RGB", (8, 8)).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])


def other_format(path):
    Image.new("RGB", (8, 8)).save(path, "GIF")


def cut(path):
    Image.fromarray(noise((64, 64, 3))).save(path)
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize(
    ("name", "make", "cause"),
    [
        ("a.png", one_bit, "1-bit"),
        ("a.bmp", one_bit, "1-bit"),
        ("a.png", animated, "animated"),
        ("a.png", deep_with_key, "transparent level"),
        ("a.png", deep_gray_alpha, "transparency"),
        ("a.png", bomb, "damaged"),
        ("a.jpg", cmyk, "CMYK"),
        ("a.jpg", several, "several pictures"),
        ("a.png", other_format, "not a PNG"),
        ("a.jpg", other_format, "not a JPEG"),
        ("a.bmp", other_format, "not a BMP"),
        ("a.png", cut, "truncated"),
        ("a.jpg", cut, "truncated"),
        ("a.bmp", cut, "truncated"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(tmp_path, name, make, cause):
    make(tmp_path / name)
    with pytest.raises(FormatError, match=cause) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_images_beyond_pillows_limit_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for name in ("a.png", "a.jpg", "a.bmp"):
        Image.fromarray(noise((ROWS, COLUMNS))).save(tmp_path / name)
        assert read(tmp_path / name).slices.shape == (1, ROWS, COLUMNS)


def test_a_file_can_take_its_own_place(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise((ROWS, COLUMNS))).save(path)
    stack = read(path)
    stack.write(stack, 255 - stack.slices, [path])
    np.testing.assert_array_equal(np.asarray(Image.open(path)), 255 - stack.slices[0])
