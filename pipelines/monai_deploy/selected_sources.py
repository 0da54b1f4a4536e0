# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of the series that the selector chose."""

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

    The files are found again by their series: where instances share a place (echoes, phases), the SDK's loader keeps
    only one of them, while each volume of such a series is denoised here.

    Args:
        series_uids: Series Instance UIDs.
        input_folder: folder to search, including its sub-folders.
        output_folder: folder of the results, which have the names of the inputs.
        report: collects DICOM files that do not state their series, which the selector never sees.

    Returns:
        One source per series, several for a series of several volumes.

    Raises:
        ValueError: if there are none, if an output exists already, or if the output is the input or holds it.
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
        raise FormatError(path, "does not state its DICOM series, and is left out.")
    return str(uid)
