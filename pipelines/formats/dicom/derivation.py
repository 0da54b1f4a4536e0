# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a derived DICOM image says about itself: how it was made, of what, and by what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom import Dataset, FileDataset
from pydicom.sr.codedict import Code, codes
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from .... import __version__

__all__ = ["describe_derivation", "mark_lossy"]

# The nearest in CID 7203 "Image Derivation" (PS3.16), which has no code for noise reduction.
NOISE_REDUCTION = codes.DCM.Smoothing
SOURCE = codes.DCM.SourceImageForImageProcessingOperation
EQUIPMENT = codes.DCM.ProcessingEquipment
# PS3.3 C.7.6.1.1.5.1. JPEG 2000 is not among them: the same syntax holds images without loss.
LOSSY_METHODS = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}

SUFFIX = "denoised"
LONGEST_DESCRIPTION = 64
LONGEST_TEXT = 1024
SHOWN_DIGITS = 12
# So that the new series stands apart from the old ones in lists, and still in their order.
SERIES_NUMBER_STEP = 1000
LARGEST_NUMBER = 2**31 - 1
FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XAXRFFrameCharacteristicsSequence",
    "XRay3DFrameTypeSequence",
    "USImageDescriptionSequence",
    "OphthalmicFrameTypeSequence",
)


def describe_derivation(dataset: FileDataset, settings: Mapping[str, Any]) -> None:
    """Say in a data set that it was derived by denoising.

    ImageType (and the FrameType of enhanced images) becomes DERIVED; what derivation, which source and which
    equipment are added to what is there; the series' description gets the word "denoised", its number 1000 more; the
    instance's date and time are those of now.

    Args:
        dataset: of the source, with its own UIDs; it is changed.
        settings: ``"model"``, ``"weights"`` (a digest) and ``"strength"`` are named where they are given.
    """
    text = _description(settings)
    _derive_type(dataset, "ImageType")
    _add_derivation(dataset, dataset, text)
    for item in _functional_groups(dataset):
        for name in FRAME_TYPES:
            for each in item.get(name) or ():
                if "FrameType" in each:
                    _derive_type(each, "FrameType")
    for item in _derivation_groups(dataset):
        derivation = Dataset()
        _add_derivation(derivation, dataset, text)
        _append(item, "DerivationImageSequence", derivation)
    _name_series(dataset)
    now = datetime.now(_time_zone(dataset))
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    _append(dataset, "ContributingEquipmentSequence", _equipment(text, now))


def mark_lossy(dataset: FileDataset, plain_size: int) -> None:
    """State that an image was compressed with loss, which decoding does not undo, where it does not say so itself.

    Args:
        dataset: as read, with compressed pixels.
        plain_size: bytes of its pixels without compression.
    """
    method = LOSSY_METHODS.get(dataset.file_meta.TransferSyntaxUID)
    if method is None or dataset.get("LossyImageCompression") == "01":
        return
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{plain_size / len(dataset.PixelData):.3g}"
    dataset.LossyImageCompressionMethod = method


def _description(settings: Mapping[str, Any]) -> str:
    parts = [f"Denoised by noisewise {__version__}"]
    if "model" in settings:
        parts.append(f"model {settings['model']}")
    if "weights" in settings:
        parts.append(f"weights {str(settings['weights'])[:SHOWN_DIGITS]}")
    if "strength" in settings:
        parts.append(f"strength {settings['strength']:g}")
    return ", ".join(parts)


def _derive_type(item: Dataset, name: str) -> None:
    value = item.get(name) or ["ORIGINAL", "SECONDARY"]
    values = [value] if isinstance(value, str) else list(value)
    setattr(item, name, ["DERIVED", *values[1:]])


def _add_derivation(item: Dataset, source: Dataset, text: str) -> None:
    earlier = str(item.get("DerivationDescription") or "")
    joined = f"{earlier}; {text}" if earlier else text
    item.DerivationDescription = joined if len(joined) <= LONGEST_TEXT else text
    _append(item, "DerivationCodeSequence", _code(NOISE_REDUCTION))
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [_code(SOURCE)]
    _append(item, "SourceImageSequence", reference)


def _functional_groups(dataset: Dataset) -> Iterator[Dataset]:
    yield from dataset.get("SharedFunctionalGroupsSequence") or ()
    yield from dataset.get("PerFrameFunctionalGroupsSequence") or ()


def _derivation_groups(dataset: Dataset) -> list[Dataset]:
    """The functional groups that say of what frames are derived: a group is shared by all frames or by none."""
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if any("DerivationImageSequence" in item for item in own):
        return own
    return list(dataset.get("SharedFunctionalGroupsSequence") or ())


def _name_series(dataset: Dataset) -> None:
    earlier = str(dataset.get("SeriesDescription") or "")
    kept = earlier[: LONGEST_DESCRIPTION - len(SUFFIX) - 1].rstrip()
    dataset.SeriesDescription = f"{kept} {SUFFIX}" if kept else SUFFIX
    number = dataset.get("SeriesNumber")
    if number is not None and int(number) + SERIES_NUMBER_STEP <= LARGEST_NUMBER:
        dataset.SeriesNumber = int(number) + SERIES_NUMBER_STEP


def _equipment(text: str, now: datetime) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [_code(EQUIPMENT)]
    item.Manufacturer = item.ManufacturerModelName = "noisewise"
    item.SoftwareVersions = __version__
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S%z")
    item.ContributionDescription = text
    return item


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _append(item: Dataset, name: str, new: Dataset) -> None:
    setattr(item, name, [*(item.get(name) or ()), new])


def _time_zone(dataset: Dataset) -> timezone | None:
    """The zone that the data set's times are given in; None for the computer's own."""
    offset = str(dataset.get("TimezoneOffsetFromUTC") or "")
    if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdigit():
        return None
    distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    return timezone(-distance if offset[0] == "-" else distance)
