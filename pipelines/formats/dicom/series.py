# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which DICOM files of a folder belong together, and which are not images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from ....data_manifest.discover import series_key
from ..stack import FormatError
from .file import read_dataset
from .geometry import Plane, plane_of
from .pixels import no_image_cause
from .size import frame_count

__all__ = ["DicomGroups", "group_dicom"]

# Their slices are a volume even where they do not say where they lie; other images without a place are pictures.
SECTIONAL = ("CT", "MR", "PT", "NM")
# What tells apart the volumes of one series, the most telling first. (Times of acquisition come last: they may differ
# from slice to slice.)
VOLUME_TAGS = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "EchoTime",
    "InversionTime",
    "DiffusionBValue",
    "NominalCardiacTriggerDelayTime",
    "TriggerTime",
    "FrameReferenceTime",
    "ImageType",
    "AcquisitionNumber",
    "AcquisitionTime",
)
TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "DirectoryRecordSequence",
    "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity",
    *VOLUME_TAGS,
)


@dataclass
class DicomGroups:
    """The result of :func:`group_dicom`; iterating over it gives the groups.

    Attributes:
        groups: files that are denoised together, sorted by name, each for
            :func:`~noisewise.pipelines.formats.dicom.read_dicom`.
        no_images: DICOM files that are not images, such as reports, and why.
        copies: files that hold the same instance and the same pixels as another one of their series, and which.
    """

    groups: list[list[Path]] = field(default_factory=list)
    no_images: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[list[Path]]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)


def group_dicom(paths: Iterable[Path]) -> DicomGroups:
    """Put together the DICOM files that are denoised under one intensity mapping.

    These are the files of one folder and one series of a study, except for

    * files of several frames, and pictures that do not say where they lie (ultrasound, projections), each a group of
      its own;
    * localizers, which are one series of slices in several directions and become one group a direction;
    * series of several volumes (echoes, phases, b-values) under one number, which become one group a volume, where
      one attribute tells the volumes apart.

    Files that cannot be read, or do not say what they are, are groups of their own, so that the reader reports them.
    Of files that hold the same instance with the same pixels, the first one is taken.

    Args:
        paths: files with DICOM's preamble or name.

    Returns:
        The groups, in the order of their first files.
    """
    found, series = DicomGroups(), {}
    for path in sorted(map(Path, paths)):
        try:
            header = read_dataset(path, pixels=False, tags=list(TAGS))
            cause = no_image_cause(header)
            key = _series_key(path, header) if "SOPClassUID" in header else (path,)
        except (FormatError, ValueError, TypeError):  # values of no sense
            header, cause, key = Dataset(), None, (path,)
        if cause is not None:
            found.no_images[path] = cause
        else:
            series.setdefault(key, {})[path] = header
    for headers in series.values():
        _drop_copies(headers, found.copies)
    groups = (group for headers in series.values() for group in _volumes(headers))
    found.groups = sorted(groups, key=lambda group: group[0])
    return found


def _drop_copies(headers: dict[Path, Dataset], copies: dict[Path, str]) -> None:
    firsts: dict[str, list[Path]] = {}
    for path, header in list(headers.items()):
        instance = str(header.get("SOPInstanceUID") or "")
        same = firsts.setdefault(instance, []) if instance else []
        # Echoes of one acquisition may share their instance's name.
        alike = (each for each in same if headers[each] == header)
        first = next((each for each in alike if _have_equal_pixels(each, path)), None)
        if first is None:
            same.append(path)
        else:
            copies[path] = f"is the same instance with the same pixels as {first.name}, which is denoised."
            del headers[path]


def _have_equal_pixels(first: Path, second: Path) -> bool:
    try:
        one, other = (read_dataset(path) for path in (first, second))
    except FormatError:
        return False
    return "PixelData" in one and one.get("PixelData") == other.get("PixelData")


def _series_key(path: Path, header: Dataset) -> tuple:
    plane, key = plane_of(header), series_key(path, header)
    sectional = plane.is_placed or header.get("Modality") in SECTIONAL
    if key is None or not sectional or frame_count(header) > 1:
        return (path,)
    if "LOCALIZER" in (header.get("ImageType") or ()):
        return (*key, header.get("Rows"), header.get("Columns"), plane.pixel_spacing, _direction(plane))
    return key


def _direction(plane: Plane) -> tuple[float, ...] | None:
    return None if plane.axes is None else tuple(plane.axes.round(2).ravel() + 0.0)


def _volumes(headers: dict[Path, Dataset]) -> list[list[Path]]:
    """The volumes of a series in which several slices share a place."""
    planes = {path: plane_of(header) for path, header in headers.items()}
    whole = list(headers)
    if not all(plane.is_placed for plane in planes.values()) or _are_apart(whole, planes):
        return [whole]
    for tag in VOLUME_TAGS:
        volumes: dict[str, list[Path]] = {}
        for path, header in headers.items():
            volumes.setdefault(str(header.get(tag)), []).append(path)
        if len({len(volume) for volume in volumes.values()}) == 1 and all(
            _are_apart(volume, planes) for volume in volumes.values()
        ):
            return list(volumes.values())
    return [whole]


def _are_apart(paths: list[Path], planes: dict[Path, Plane]) -> bool:
    places = {tuple(planes[path].position.round(3)) for path in paths}
    return len(places) == len(paths)
