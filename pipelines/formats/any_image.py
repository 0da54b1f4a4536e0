# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading one image of any format, DICOM included."""

from __future__ import annotations

from pathlib import Path

from ...transforms.file_types import is_dicom
from .checks import check_file
from .registry import read_stack, suffix_of
from .stack import FormatError, ImageStack

__all__ = ["read_any_image"]


def read_any_image(path: Path) -> ImageStack:
    """Read a file, or a folder that holds one DICOM series.

    Args:
        path: of the file or the folder.

    Returns:
        Its slices, see :class:`~noisewise.pipelines.formats.ImageStack`.

    Raises:
        FormatError: if it cannot be read, or the folder holds no DICOM series or several.
    """
    path = Path(path)
    if path.is_dir():
        return _read_series(path)
    check_file(path)
    if suffix_of(path) is None and is_dicom(path):
        from .dicom import read_dicom
        from .quiet import quiet_libraries

        with quiet_libraries():
            return read_dicom([path])
    return read_stack(path)


def _read_series(folder: Path) -> ImageStack:
    # The libraries that read DICOM take long to import.
    from .dicom import group_dicom, read_dicom
    from .quiet import quiet_libraries

    with quiet_libraries():
        files = sorted(path for path in folder.iterdir() if path.is_file() and is_dicom(path))
        series = list(group_dicom(files))
        if len(series) != 1:
            raise FormatError(folder, f"expected a folder of one DICOM series, it holds {len(series)}.")
        return read_dicom([Path(path) for path in series[0]])
