# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing denoised DICOM: one new instance for each input, in a new series of the same study."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydicom import FileDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from ....atomic import atomic_path
from ....data_manifest.digest import settings_digest
from ..checks import writing
from ..stack import FormatError, ImageStack
from .derivation import describe_derivation, mark_lossy
from .file import read_dataset
from .pixels import pixel_bytes

__all__ = ["write_dicom"]

# They depend on the pixels that are replaced: signatures and offsets would no longer be valid.
OF_OLD_PIXELS = (
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
LARGEST_VALUE = 2**32 - 2


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
