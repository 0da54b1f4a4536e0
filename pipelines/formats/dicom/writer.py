# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing denoised DICOM: one new instance for each input, in a new series of the same study."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from ....atomic import atomic_path
from ....data_manifest.digest import settings_digest
from ..checks import last_line, writing
from ..stack import FormatError, ImageStack
from .derivation import describe_derivation, mark_lossy
from .file import read_dataset
from .pixels import pixel_bytes, pixel_dtype
from .size import LARGEST_VALUE

__all__ = ["check_writable", "write_dicom"]

# They depend on the pixels that are replaced: signatures and offsets would no longer be valid.
OF_OLD_PIXELS = (
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
UNDEFINED_LENGTH = 0xFFFFFFFF


def write_dicom(stack: ImageStack, slices: np.ndarray, outputs: list[Path]) -> None:
    """Write denoised slices, one file for each input file.

    Pixels keep their stored representation, and data sets their encoding; compressed ones become Explicit VR Little
    Endian, and YBR becomes RGB. All elements that the denoising does not concern are copied byte for byte; see
    :func:`~noisewise.pipelines.formats.dicom.derivation.describe_derivation` for the others. SOP and Series Instance
    UIDs depend only on those of the inputs and on ``stack.derivation``, so that a run that is repeated writes the same
    ones.

    Args:
        stack: the image that was read; its ``derivation`` says how it was denoised.
        slices: in shape and dtype of ``stack.slices``.
        outputs: one path for each of ``stack.paths``. They appear only after all of them have been written.

    Raises:
        FormatError: when an input is no longer there, or an output cannot be written.
        ValueError: when shape, dtype or the number of paths is wrong.
    """
    _check(stack, slices, outputs)
    digest = settings_digest({} if stack.derivation is None else asdict(stack.derivation))
    lowest, highest = int(slices.min()), int(slices.max())
    with ExitStack() as staged:
        begin = 0
        for path, output, count in zip(stack.paths, outputs, stack.dicom.frames):
            pixels = slices[begin : begin + count]
            begin += count
            dataset = read_dataset(path)
            with writing(output), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mark_lossy(dataset, pixels.nbytes)
                describe_derivation(dataset, stack.derivation)
                _state_extremes(dataset, pixels, lowest, highest)
                _replace_pixels(dataset, _with_unused_bits(stack, path, pixels))
                _rename(dataset, digest)
                _match_encoding(dataset)
                temporary = staged.enter_context(atomic_path(output))
                dataset.save_as(temporary, enforce_file_format=True)
        # Leaving the stack puts all of them in place.


def check_writable(path: Path, dataset: FileDataset) -> None:
    """Write the data set of a file without its pixels to nowhere, so that what cannot be written is known early.

    Args:
        path: the file, for the message.
        dataset: all of it; it is changed, and of no use afterwards.

    Raises:
        FormatError: names the element that cannot be written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = np.zeros((1, 1, 1, *((3,) if dataset.SamplesPerPixel == 3 else ())), pixel_dtype(dataset))
            mark_lossy(dataset, pixels.nbytes)
            describe_derivation(dataset, None)
            _state_extremes(dataset, pixels, 0, 0)
            _replace_pixels(dataset, pixels)
            _rename(dataset, "")
            _match_encoding(dataset)
            dataset.save_as(BytesIO(), enforce_file_format=True)
        except Exception as error:  # pydicom raises all kinds
            raise FormatError(path, f"could not be written again: {last_line(error)}") from error


def _check(stack: ImageStack, slices: np.ndarray, outputs: list[Path]) -> None:
    if slices.shape != stack.slices.shape or slices.dtype != stack.slices.dtype:
        raise ValueError(
            f"{stack.name}: {slices.dtype} {slices.shape} cannot take the place of "
            f"{stack.slices.dtype} {stack.slices.shape}."
        )
    if len(outputs) != len(stack.paths) or len(set(outputs)) != len(outputs):
        raise ValueError(f"{stack.name}: {len(stack.paths)} files need as many different outputs, got {len(outputs)}.")
    for output in outputs:
        if Path(output).is_dir():
            raise FormatError(output, "cannot be written: is a folder.")


def _with_unused_bits(stack: ImageStack, path: Path, pixels: np.ndarray) -> np.ndarray:
    """Put an overlay back into the bits above the stored values."""
    above = stack.dicom.unused_bits.get(path)
    if above is None:
        return pixels
    low, high = stack.stored_range
    return ((pixels.view(above.dtype) & (int(high) - int(low))) | above).view(pixels.dtype)


def _replace_pixels(dataset: FileDataset, pixels: np.ndarray) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    # Colors that were compressed or YBR are decoded pixel by pixel.
    was_rgb = not syntax.is_encapsulated and dataset.PhotometricInterpretation == "RGB"
    planar = was_rgb and dataset.get("PlanarConfiguration") == 1
    _drop_compressed_icons(dataset)
    if syntax.is_encapsulated:
        syntax = dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if pixels.ndim == 4:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", int(planar)
    value = pixel_bytes(pixels, planar, syntax == ExplicitVRBigEndian)
    if len(value) > LARGEST_VALUE:
        raise ValueError("uncompressed, its pixels need more than the 4 GiB that DICOM allows.")
    for name in OF_OLD_PIXELS:
        if name in dataset:
            del dataset[name]
    vr = "OW" if dataset.BitsAllocated > 8 or syntax.is_implicit_VR else "OB"
    dataset.add_new("PixelData", vr, value)


def _drop_compressed_icons(dataset: Dataset) -> bool:
    """Drop sequences that hold compressed pixels, such as icons: in a file without compression nobody can read them.

    Args:
        dataset: of a file, or of an item; it is changed.

    Returns:
        Whether anything was dropped.
    """
    dropped = False
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        # Elements that are no sequences are not decoded.
        if element.VR != "SQ" and not isinstance(element.value, Sequence):
            continue
        items = list(dataset[tag].value)
        if any(map(_has_compressed_pixels, items)):
            del dataset[tag]
            dropped = True
        elif sum(map(_drop_compressed_icons, items)):  # all of them
            dropped = True
        elif isinstance(element, RawDataElement):
            dataset[tag] = element  # its bytes are copied
    return dropped


def _has_compressed_pixels(item: Dataset) -> bool:
    element = item.get_item("PixelData") if "PixelData" in item else None
    if element is None:
        return False
    return getattr(element, "is_undefined_length", False) or getattr(element, "length", 0) == UNDEFINED_LENGTH


def _match_encoding(dataset: FileDataset) -> None:
    """Decode elements whose encoding differs from the file's: their bytes cannot be copied."""
    if dataset.file_meta.TransferSyntaxUID.is_implicit_VR:
        return
    for tag in list(dataset.keys()):
        if dataset.get_item(tag).VR is None:
            dataset[tag]


def _state_extremes(dataset: FileDataset, pixels: np.ndarray, lowest: int, highest: int) -> None:
    """Lowest and highest stored values, where the file gives them."""
    for name, value in (
        ("SmallestImagePixelValue", int(pixels.min())),
        ("LargestImagePixelValue", int(pixels.max())),
        ("SmallestPixelValueInSeries", lowest),
        ("LargestPixelValueInSeries", highest),
    ):
        if name in dataset:
            signed = dataset.PixelRepresentation == 1
            dataset.add_new(name, "SS" if signed else "US", value)


def _rename(dataset: FileDataset, digest: str) -> None:
    """New identifiers, made of the old ones and of the settings."""
    source = str(dataset.SOPInstanceUID)
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", source, digest])
    series = str(dataset.get("SeriesInstanceUID") or source)
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", series, digest])
    meta = dataset.file_meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    # The software that wrote this file, in place of the one that wrote the input.
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "NOISEWISE"
