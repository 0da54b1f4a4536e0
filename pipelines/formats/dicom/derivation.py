# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How a derived DICOM image describes itself: its source, the processing and the equipment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from pydicom import Dataset, FileDataset
from pydicom.sr.codedict import Code, codes
from pydicom.uid import (
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from .... import __version__
from ..stack import Derivation

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

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SUFFIX = "denoised"
LONGEST_DESCRIPTION = 64
LONGEST_TEXT = 1024
SHOWN_DIGITS = 12
# Sorts the new series after all old ones in lists, in the same order.
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
ENHANCED_MR = (EnhancedMRImageStorage, EnhancedMRColorImageStorage)
# PS3.3 C.8.13.4 (MR Pulse Sequence) and C.8.13.6.4 (Bulk Motion Synchronization): not in DERIVED images.
OF_ORIGINAL_MR = (
    "BulkMotionCompensationTechnique",
    "PulseSequenceName",
    "MRAcquisitionType",
    "EchoPulseSequence",
    "MultipleSpinEcho",
    "MultiPlanarExcitation",
    "PhaseContrast",
    "TimeOfFlightContrast",
    "SteadyStatePulseSequence",
    "EchoPlanarPulseSequence",
    "SaturationRecovery",
    "SpectrallySelectedSuppression",
    "OversamplingPhase",
    "GeometryOfKSpaceTraversal",
    "RectilinearPhaseEncodeReordering",
    "SegmentedKSpaceTraversal",
    "CoverageOfKSpace",
    "NumberOfKSpaceTrajectories",
)


def describe_derivation(dataset: FileDataset, derivation: Derivation | None) -> None:
    """Record in a data set that it was derived by denoising.

    ImageType (and the FrameType of enhanced images) becomes DERIVED. The derivation, its source and the equipment are
    added to those on record: for enhanced images in the functional groups, with the source as evidence. Enhanced MR
    images lose the elements that the standard allows in ORIGINAL ones only. The series' description gets the word
    "denoised", and 1000 is added to its number. The date and time of the instance are the current ones.

    Args:
        dataset: of the source, with its own UIDs; it is changed.
        derivation: its model, weights and strength are named; None when they are unknown.
    """
    text = _description(derivation)
    _derive_type(dataset, "ImageType")
    if not _is_enhanced(dataset):
        _add_derivation(dataset, dataset, text)
    elif dataset.SOPClassUID in ENHANCED_MR:
        for name in OF_ORIGINAL_MR:
            if name in dataset:
                del dataset[name]
    for item in _functional_groups(dataset):
        for name in FRAME_TYPES:
            for each in item.get(name) or ():
                if "FrameType" in each:
                    _derive_type(each, "FrameType")
    for item in _derivation_groups(dataset):
        derivation = Dataset()
        _add_derivation(derivation, dataset, text)
        _append(item, "DerivationImageSequence", derivation)
        _add_evidence(dataset)
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


def _description(derivation: Derivation | None) -> str:
    text = f"Denoised by noisewise {__version__}"
    if derivation is None:
        return text
    weights = derivation.weights[:SHOWN_DIGITS]
    return f"{text}, model {derivation.model}, weights {weights}, strength {derivation.strength:g}"


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


def _is_enhanced(dataset: Dataset) -> bool:
    """Whether the derivation is described in functional groups, and nowhere else."""
    return any(name in dataset for name in FUNCTIONAL_GROUPS) or dataset.SOPClassUID.name.startswith("Enhanced")


def _add_evidence(dataset: Dataset) -> None:
    """List the source under its study and series (PS3.3 C.17.2.1), as the functional groups that refer to it ask."""
    if "StudyInstanceUID" not in dataset or "SeriesInstanceUID" not in dataset:
        return
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = dataset.SeriesInstanceUID, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = dataset.StudyInstanceUID, [series]
    for known in dataset.get("SourceImageEvidenceSequence") or ():
        if known.get("StudyInstanceUID") == dataset.StudyInstanceUID:
            if series not in (known.get("ReferencedSeriesSequence") or ()):
                _append(known, "ReferencedSeriesSequence", series)
            return
    _append(dataset, "SourceImageEvidenceSequence", study)


def _functional_groups(dataset: Dataset) -> Iterator[Dataset]:
    for name in FUNCTIONAL_GROUPS:
        yield from dataset.get(name) or ()


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
