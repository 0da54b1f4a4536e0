# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""PNG, JPEG and BMP: the pixels are replaced, everything else in the file is copied byte for byte."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngImageFile

from ...atomic import atomic_path
from .checks import check_output, check_values, reading, writing
from .memory import check_memory
from .stack import FormatError, ImageStack

__all__ = ["read_bmp", "read_jpeg", "read_png"]

# Deflate shrinks no more than 1032:1, of at most 8 pixels a byte; JPEG spends a bit on each 8 x 8 block at the least.
PIXELS_PER_BYTE = 8 * 1032

# Pillow's image, its bytes and the array while it is read; the image, the result and both encoded while it is written.
WORKING_COPIES = 4

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER_END = len(PNG_SIGNATURE) + 25  # of the chunk IHDR
PNG_END_LENGTH = 12  # of the chunk IEND
PNG_GRAY, PNG_RGB, PNG_RGBA = 0, 2, 6
Buffer = bytes | memoryview

# Chunks that are written with the new pixels, or concern a palette that is not written.
PNG_NOT_COPIED = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"hIST", b"sPLT")
# These describe samples, and would be wrong once a palette became RGB.
PNG_OF_SAMPLES = (b"bKGD", b"sBIT")

JPEG_START_OF_SCAN = 0xDA
JPEG_RGB_IDS = [ord(letter) for letter in "RGB"]


def read_png(path: Path) -> ImageStack:
    """Read a PNG of 8 or 16 bits.

    Palettes and gray of less than 8 bits are expanded to 8-bit RGB or gray, and written so. Transparency is kept
    as it is, and so are all text, resolution, color profile, gamma, time and EXIF chunks.

    Args:
        path: the file.

    Returns:
        One slice, ``(1, H, W)`` or ``(1, H, W, 3)``, uint8 or uint16.

    Raises:
        FormatError: when it cannot be read, holds 1-bit pixels, is animated, or is 16-bit gray with transparency.
    """
    path = Path(path)
    with reading(path, "PNG"), _opened(PngImageFile, path) as image:
        with path.open("rb") as file:
            chunks = list(_png_chunks(file))
        names = [name for name, _ in chunks]
        bits, color_type = chunks[0][1][16], chunks[0][1][17]
        if b"acTL" in names:
            raise FormatError(path, "is an animated PNG; only single images are supported.")
        if bits == 1 and b"PLTE" not in names:
            raise FormatError(path, "has 1-bit pixels: black and white hold no noise that could be removed.")
        keyed = b"tRNS" in names
        if bits == 16 and color_type != PNG_GRAY:
            if color_type not in (PNG_RGB, PNG_RGBA) or keyed:
                raise FormatError(path, "is a 16-bit PNG with transparency of a kind that cannot be written.")
            pixels = _deep_color(path)
        elif bits == 16:
            if keyed:
                raise FormatError(path, "is a 16-bit gray PNG with a transparent level, which cannot be written.")
            pixels = np.asarray(image).astype(np.uint16, copy=False)
        else:
            modes = {"L": "LA", "RGB": "RGBA", "P": "RGBA"} if keyed else {"P": "RGB"}
            pixels = np.asarray(image.convert(modes.get(image.mode, image.mode)))
        dropped = PNG_NOT_COPIED + (PNG_OF_SAMPLES if b"PLTE" in names or bits < 8 or keyed else ())
        first = names.index(b"IDAT")
        before = b"".join(chunk for name, chunk in chunks[:first] if name not in dropped)
        after = b"".join(chunk for name, chunk in chunks[first:] if name not in dropped)

    def encode(pixels: np.ndarray, temporary: Path) -> list[Buffer]:
        new = memoryview(_png_bytes(pixels, temporary))
        return [new[:PNG_HEADER_END], before, new[PNG_HEADER_END:-PNG_END_LENGTH], after, new[-PNG_END_LENGTH:]]

    return _stack(path, pixels, encode)


def read_jpeg(path: Path) -> ImageStack:
    """Read a JPEG.

    It is written with its own quantization tables and chroma subsampling (4:4:4 for the odd kinds), so that no more
    is lost than when the file was made, and with all its application segments: EXIF with the orientation, which is
    not applied, color profile, resolution, XMP, comments.

    Args:
        path: the file.

    Returns:
        One slice, ``(1, H, W)`` or ``(1, H, W, 3)``, uint8.

    Raises:
        FormatError: when it cannot be read, is CMYK, lossless, or holds several pictures.
    """
    path = Path(path)
    with reading(path, "JPEG"), _opened(JpegImageFile, path) as image:
        if image.mode not in ("L", "RGB"):
            raise FormatError(path, f"is a {image.mode} JPEG; only gray and RGB are supported.")
        if "mp" in image.info:
            raise FormatError(path, "holds several pictures; only single images are supported.")
        indices = [layer[3] for layer in image.layer]
        if not all(index in image.quantization for index in indices):
            raise FormatError(path, "is a lossless JPEG, which cannot be written.")
        while len(indices) > 1 and indices[-1] == indices[-2]:
            indices.pop()  # the encoder uses the last table for the rest
        options = {
            "qtables": [image.quantization[index] for index in indices],
            "subsampling": max(0, get_sampling(image)),
            "progressive": bool(image.info.get("progressive")),
            "keep_rgb": _is_rgb_coded(image),
        }
        own = b"".join(part for marker, part in _jpeg_segments(path.read_bytes()) if _is_application(marker))
        pixels = np.asarray(image)

    def encode(pixels: np.ndarray, temporary: Path) -> list[Buffer]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", **options)
        rest = [part for marker, part in _jpeg_segments(buffer.getvalue()) if not _is_application(marker)]
        return [b"\xff\xd8", own, *rest]

    return _stack(path, pixels, encode)


def read_bmp(path: Path) -> ImageStack:
    """Read a BMP. Palettes are expanded to RGB and written so, 16 and 32 bits a pixel become 24.

    Args:
        path: the file.

    Returns:
        One slice, ``(1, H, W)`` or ``(1, H, W, 3)``, uint8.

    Raises:
        FormatError: when it cannot be read, has 1-bit pixels or transparency.
    """
    path = Path(path)
    with reading(path, "BMP"), _opened(BmpImageFile, path) as image:
        if image.mode == "1":
            raise FormatError(path, "has 1-bit pixels: black and white hold no noise that could be removed.")
        if image.mode not in ("L", "P", "RGB"):
            raise FormatError(path, "is a BMP with transparency, which cannot be written.")
        pixels = np.asarray(image if image.mode != "P" else image.convert("RGB"))
        options = {"dpi": image.info["dpi"]} if "dpi" in image.info else {}

    def encode(pixels: np.ndarray, temporary: Path) -> list[Buffer]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "BMP", **options)
        return [buffer.getbuffer()]

    return _stack(path, pixels, encode)


def _opened(plugin: type[ImageFile], path: Path) -> ImageFile:
    """Not ``Image.open``: that one refuses or warns about large images, whatever the file's own size."""
    try:
        image = plugin(path)
    except SyntaxError as error:
        raise FormatError(path, f"is not a {plugin.format} file, whatever its name says.") from error
    width, height = image.size
    if width * height > PIXELS_PER_BYTE * path.stat().st_size:
        image.close()
        raise FormatError(path, f"is damaged: a file this short cannot hold {width} x {height} pixels.")
    try:
        deep = 2 if image.mode.startswith("I;16") else 1
        check_memory(path, width * height * len(image.getbands()) * deep, WORKING_COPIES)
    except FormatError:
        image.close()
        raise
    return image


def _stack(path: Path, pixels: np.ndarray, encode: Callable[[np.ndarray, Path], list[Buffer]]) -> ImageStack:
    """Of an image with or without transparency; ``encode`` makes a file's content, given its temporary path."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    alpha = pixels[..., -1:] if channels in (2, 4) else None
    image = pixels[..., 0] if channels == 2 else pixels[..., :3] if channels == 4 else pixels
    check_values(path, image[None])

    def write(stack: ImageStack, slices: np.ndarray, paths: list[Path]) -> None:
        output, new = check_output(stack, slices, paths), slices[0]
        if alpha is not None:
            new = np.concatenate([new.reshape(*new.shape[:2], -1), alpha], axis=-1)
        with writing(output), atomic_path(output) as temporary, temporary.open("wb") as file:
            file.writelines(encode(np.ascontiguousarray(new), temporary))

    return ImageStack(image[None], [path], write)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of each chunk up to IEND; of the pixels' chunks the name only."""
    file.seek(len(PNG_SIGNATURE))
    name = b""
    while name != b"IEND":
        head = file.read(8)
        length, name = int.from_bytes(head[:4]), head[4:]
        body = file.read(length + 4)
        if len(head) < 8 or len(body) < length + 4:
            raise ValueError("the file is truncated.")
        yield name, b"" if name == b"IDAT" else head + body


def _png_bytes(pixels: np.ndarray, temporary: Path) -> Buffer:
    if pixels.dtype != np.uint16 or pixels.ndim == 2:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getbuffer()
    # SimpleITK writes files only. By its name, a killed run's is known and removed.
    deep = temporary.with_name(f"{temporary.name}.deep.png")
    try:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(deep))
        return deep.read_bytes()
    finally:
        deep.unlink(missing_ok=True)


def _deep_color(path: Path) -> np.ndarray:
    """16-bit color through SimpleITK: Pillow keeps 8 bits of it."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="PNGImageIO"))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment between the start of the image and its first scan, then all the rest."""
    position = 2
    while True:
        while data[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker = data[position + 1]
        if marker == JPEG_START_OF_SCAN:
            yield marker, data[position:]
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        yield marker, data[position:end]
        position = end


def _is_application(marker: int) -> bool:
    """Whether a segment is an application's (APP0 to APP15) or a comment."""
    return 0xE0 <= marker <= 0xEF or marker == 0xFE


def _is_rgb_coded(image: JpegImageFile) -> bool:
    """Whether the planes are red, green and blue rather than luma and chroma, by libjpeg's rules."""
    if image.mode != "RGB" or "jfif" in image.info:
        return False
    if "adobe_transform" in image.info:
        return image.info["adobe_transform"] == 0
    return [layer[0] for layer in image.layer] == JPEG_RGB_IDS
