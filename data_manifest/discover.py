# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Finding image files in a folder, and the DICOM series among them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from ..transforms.file_types import PLAIN_SUFFIXES, is_dicom
from .modalities import DICOM_MODALITIES

__all__ = ["DicomHeader", "find_image_files", "group_by_series", "read_dicom_headers", "series_key"]

_TAGS = (
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "InstanceNumber",
)


@dataclass(frozen=True)
class DicomHeader:
    """The parts of a DICOM header that a manifest needs.

    Args:
        modality: our name of the modality; empty when the tag says nothing usable.
        patient_id: as on file; it must never be written anywhere.
        series: equal for the files of one series, see :func:`series_key`; None for a file of no series.
        position: place of the slice along the series' axis, for sorting.
    """

    modality: str
    patient_id: str
    series: tuple | None
    position: float


def find_image_files(root: str | os.PathLike, include: str = "*", exclude: str | None = None) -> list[Path]:
    """All image files in a folder and its subfolders, by name (PNG, JPEG, BMP, TIFF, NIfTI) or content (DICOM).

    Args:
        root: the folder, or one file.
        include: shell pattern that a file's name, or its path below ``root``, must match.
        exclude: shell pattern that neither may match; for masks, for example ``"*_mask.tif"``.

    Returns:
        Sorted paths. Hidden files are left out.

    Raises:
        FileNotFoundError: when ``root`` does not exist.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder.")
    if root.is_file():
        return [root]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            below = path.relative_to(root).as_posix()
            if name.startswith(".") or name == "DICOMDIR" or not _matches(name, below, include):
                continue
            if exclude is not None and _matches(name, below, exclude):
                continue
            if name.lower().endswith(PLAIN_SUFFIXES) or is_dicom(path):
                found.append(path)
    return sorted(found)


def read_dicom_headers(paths: Iterable[Path], executor: Executor) -> dict[Path, DicomHeader]:
    """Read the headers of those files that are DICOM; unreadable ones are left to the decoder to name."""
    dicoms = [path for path in paths if is_dicom(path)]
    headers = executor.map(_read_header, dicoms)
    return {path: header for path, header in zip(dicoms, headers) if header is not None}


def group_by_series(paths: Iterable[Path], headers: dict[Path, DicomHeader]) -> list[list[Path]]:
    """Put the slices of one DICOM series together, sorted along its axis; every other file is a group of its own.

    A folder may hold several series.
    """
    groups: dict[tuple, list[Path]] = {}
    for path in paths:
        header = headers.get(path)
        groups.setdefault((header and header.series) or (path,), []).append(path)
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda path: (headers[path].position, path))
    return list(groups.values())


def series_key(path: Path, header: pydicom.Dataset) -> tuple | None:
    """A key that the files of one DICOM series share: those of one folder, one study and one series number.

    Args:
        path: the file.
        header: its data set, with StudyInstanceUID and SeriesInstanceUID.

    Returns:
        The key; None for a file that names no series.
    """
    number = str(header.get("SeriesInstanceUID") or "")
    return (path.parent, str(header.get("StudyInstanceUID")), number) if number else None


def _matches(name: str, below: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(below, pattern)


def _read_header(path: Path) -> DicomHeader | None:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        return DicomHeader(
            modality=DICOM_MODALITIES.get(str(header.get("Modality") or "").upper(), ""),
            patient_id=str(header.get("PatientID") or "").strip(),
            series=series_key(path, header),
            position=_position(header),
        )
    except Exception:
        # Whatever is wrong with the file, the decoder meets it again and names it with its cause.
        return None


def _position(header: pydicom.Dataset) -> float:
    place, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if place and axes and len(place) == 3 and len(axes) == 6:
        rows, columns = np.array(axes, float).reshape(2, 3)
        return float(np.dot(np.array(place, float), np.cross(rows, columns)))
    return float(header.get("InstanceNumber") or 0)
