# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From the series that the selector chose to their files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..denoising.sources import Source, find_sources
from ..formats.dicom.file import read_dataset
from ..formats.stack import FormatError
from .report import RunReport

__all__ = ["selected_sources"]


def selected_sources(
    series_uids: Collection[str], input_folder: Path, output_folder: Path, report: RunReport
) -> list[Source]:
    """The files of some series, grouped as the command line groups them.

    The files are found again by their series: of instances that share a place (echoes, phases) the SDK's loader keeps
    one only, while here each volume of such a series is denoised.

    Args:
        series_uids: Series Instance UIDs.
        input_folder: is searched, folders below it included.
        output_folder: where results go, under the names of the inputs.
        report: is told of DICOM files that do not say to which series they belong: the selector never saw them.

    Returns:
        One source a series, several for a series of several volumes.

    Raises:
        ValueError: when there are none, when an output exists already, or when the output is the input or holds it.
    """
    sources = []
    for source in find_sources(input_folder, output_folder).sources:
        if source.kind == "dicom":
            with report.collecting(source):
                if _series_uid(source.paths[0]) in series_uids:
                    sources.append(source)
    if not sources:
        raise ValueError(f"{input_folder}: holds no DICOM image series that the rules of the selector match.")
    for source in sources:
        for path in source.all_outputs:
            if path.exists():
                raise ValueError(f"{path}: exists already; choose an empty output folder.")
    return sources


def _series_uid(path: Path) -> str:
    uid = read_dataset(path, pixels=False, tags=["SeriesInstanceUID"]).get("SeriesInstanceUID")
    if not uid:
        raise FormatError(path, "does not say to which DICOM series it belongs, and is left out.")
    return str(uid)
