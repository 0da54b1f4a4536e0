# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing denoised DICOM: one new instance for each input, in a new series of the same study."""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydicom import FileDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from ....atomic import atomic_path
from ..checks import writing
from ..stack import FormatError, ImageStack
from .derivation import describe_derivation, mark_lossy
from .file import read_dataset
from .pixels import pixel_bytes

__all__ = ["write_dicom"]

# Made of the pixels that are replaced: a signature would no longer hold, and offsets point to what is no more.
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
    UIDs depend only on those of the inputs and on ``stack.details["settings"]``, so that a run that is repeated
    writes the same ones.

    Args:
        stack: what was read; ``stack.details["settings"]`` says how it was denoised (``"model"``, ``"weights"``,
            ``"strength"`` and whatever else the result depends on).
        slices: in shape and dtype of ``stack.slices``.
        outputs: one path for each of ``stack.paths``. They appear only after all of them have been written.

    Raises:
        FormatError: when an input is no longer there, or an output cannot be written.
        ValueError: when shape, dtype or the number of paths is wrong.
    """
    _check(stack, slices, outputs)
    digest = settings_digest(stack.details.get("settings", {}))
    lowest, highest = int(slices.min()), int(slices.max())
    with ExitStack() as staged:
        begin = 0
        for path, output, count in zip(stack.paths, outputs, stack.details["frames"]):
            pixels = slices[begin : begin + count]
            begin += count
            dataset = read_dataset(path)
            with writing(output), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mark_lossy(dataset, pixels.nbytes)
                describe_derivation(dataset, stack.details.get("settings", {}))
                _state_extremes(dataset, pixels, lowest, highest)
                _replace_pixels(dataset, _with_unused_bits(stack, path, pixels))
                _rename(dataset, digest)
                _match_encoding(dataset)
                temporary = staged.enter_context(atomic_path(output))
                dataset.save_as(temporary, enforce_file_format=True)
        # Leaving the stack puts all of them in place.


def settings_digest(settings: dict) -> str:
    """A name for settings, the same for equal ones.

    Args:
        settings: what JSON can hold.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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
    above = stack.details["unused_bits"].get(path)
    if above is None:
        return pixels
    low, high = stack.stored_range
    return ((pixels.view(above.dtype) & (int(high) - int(low))) | above).view(pixels.dtype)


def _replace_pixels(dataset: FileDataset, pixels: np.ndarray) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    # Colours that were compressed or YBR are decoded pixel by pixel.
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
    """Decode elements that are not encoded as the file says they are, which could not be copied as they stand."""
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
    # Who wrote the file, which is no longer who wrote the input.
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "NOISEWISE"
