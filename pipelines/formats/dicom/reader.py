# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading a DICOM series, or one file, as a stack of slices in stored values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import FileDataset

from ..checks import check_values, reading
from ..memory import check_memory
from ..stack import DicomLayout, FormatError, ImageStack
from .file import read_dataset
from .geometry import affine_of, frame_planes, order_planes, plane_spacing
from .pixels import check_image, decode_pixels, stored_range_of
from .series import DicomGroups, group_dicom
from .size import check_size, frame_count, stated_size
from .values import modality_of, padding_mask, rescale_of, split_unused_bits, unit_of
from .writer import check_writable, write_dicom

__all__ = ["DicomGroups", "group_dicom", "read_dicom"]

ALIKE = (
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)


def read_dicom(paths: Sequence[Path], allow_gaps: bool = False) -> ImageStack:
    """Read the files of one series, or one file of one or more frames.

    Args:
        paths: the files, in any order; several only of single frames.
        allow_gaps: whether slices may be missing between others, as where some files could not be read.

    Returns:
        The stored values, ``(N, H, W)``, or ``(N, H, W, 3)`` RGB (YBR is converted). The slices of a
        series are sorted along their normal, or by InstanceNumber where they do not say where they lie, and ``paths``
        with them; frames keep their order. ``frozen`` marks padding; ``inverted`` is True for MONOCHROME1.

    Raises:
        FormatError: when a file is damaged, is not an image or of an unsupported kind, or when the files are not one
            series of parallel, equally sampled slices without gaps and doubles.
    """
    paths = [Path(path) for path in paths]
    headers = [_checked_header(path) for path in paths]
    _check_alike(paths, headers)
    check_memory(paths[0] if len(paths) == 1 else paths[0].parent, sum(map(stated_size, headers)))
    counts = [frame_count(header) for header in headers]
    with reading(paths[0], "DICOM"):
        planes = [frame_planes(header, count) for header, count in zip(headers, counts)]
    if len(paths) > 1:
        order = order_planes(paths, [each[0] for each in planes], allow_gaps)
        paths, headers, planes = ([each[index] for index in order] for each in (paths, headers, planes))
    first = headers[0]
    slices, frozen, unused, scale = None, None, {}, []
    begin = 0
    for path, header, count in zip(paths, headers, counts):
        with reading(path, "DICOM"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scale += [rescale_of(path, header, frame) for frame in range(count)]
            dataset = read_dataset(path)
            pixels = decode_pixels(path, dataset)
            check_writable(path, dataset)
            del dataset
            padding = padding_mask(header, pixels)
            pixels, above = split_unused_bits(header, pixels, padding)
        if slices is None:
            # Only now: a damaged header may state a size that no memory holds.
            slices = pixels if len(paths) == 1 else np.empty((len(paths), *pixels.shape[1:]), pixels.dtype)
        slices[begin : begin + count] = pixels
        if padding is not None:
            if frozen is None:
                frozen = np.zeros((sum(counts), *slices.shape[1:3]), bool)
            frozen[begin : begin + count] = padding
        if above is not None:
            unused[path] = above
        begin += count
    check_values(paths[0], slices)
    planes = [plane for each in planes for plane in each]
    spacing = plane_spacing(planes)
    slope, intercept = (np.array(values) for values in zip(*scale))
    return ImageStack(
        slices,
        paths,
        write_dicom,
        slope=_one_or_all(slope),
        intercept=_one_or_all(intercept),
        unit=unit_of(first),
        modality=modality_of(first),
        stored_range=stored_range_of(first),
        frozen=frozen,
        spacing=spacing,
        inverted=first.PhotometricInterpretation == "MONOCHROME1",
        affine=affine_of(planes, spacing),
        dicom=DicomLayout(tuple(counts), unused),
    )


def _checked_header(path: Path) -> FileDataset:
    header = read_dataset(path, pixels=False)
    with reading(path, "DICOM"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_image(path, header)
        check_size(path, header)
    return header


def _check_alike(paths: list[Path], headers: list[FileDataset]) -> None:
    """Refuse files that are not of one series."""
    for path, header in zip(paths, headers):
        if len(paths) > 1 and frame_count(header) > 1:
            raise FormatError(path, "has several frames, and belongs to no series of slices; give it alone.")
        for name in ALIKE:
            if header.get(name) != headers[0].get(name):
                raise FormatError(path, f"has another {name} than {paths[0].name}: the two are not one series.")


def _one_or_all(values: np.ndarray) -> float | np.ndarray:
    return float(values[0]) if (values == values[0]).all() else values
