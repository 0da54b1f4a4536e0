# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The second file of formats that keep header and voxels apart: ``.mhd``, ``.nhdr`` and ``.hdr``."""

from __future__ import annotations

from pathlib import Path

from .itk_header import data_output, metaimage_layout, nrrd_layout
from .stack import FormatError

__all__ = ["data_files", "is_pair_header"]

PAIR_SUFFIXES = (".hdr", ".hdr.gz")
PAIR_SIZES = (348, 540)


def data_files(path: Path, output: Path) -> tuple[Path, Path] | None:
    """The data file of a header, and that of its result.

    Args:
        path: the header, or any other file.
        output: its result.

    Returns:
        Both paths; None for files that hold their own voxels, and for headers that reading will refuse.
    """
    name = path.name.lower()
    if name.endswith(PAIR_SUFFIXES):
        from .nifti import pair_data

        return pair_data(path), pair_data(output)
    layout_of = {".mhd": metaimage_layout, ".nhdr": nrrd_layout}.get(path.suffix.lower())
    if layout_of is None:
        return None
    try:
        layout = layout_of(path)
    except (FormatError, OSError):
        return None
    return None if layout.data == path else (layout.data, data_output(output, path, layout.data))


def is_pair_header(path: Path) -> bool:
    """Whether a file begins as the header of a NIfTI or Analyze pair; ``.hdr`` is the name of other formats, too.

    Args:
        path: a file; compressed ones are taken for headers by their name.
    """
    if path.name.lower().endswith(".gz"):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return any(int.from_bytes(start, order) in PAIR_SIZES for order in ("little", "big"))
