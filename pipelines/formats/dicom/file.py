# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Opening a DICOM file."""

from __future__ import annotations

import warnings
from pathlib import Path

from pydicom import FileDataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..checks import reading

__all__ = ["read_dataset"]


def read_dataset(path: Path, pixels: bool = True, tags: list[str] | None = None) -> FileDataset:
    """Read a DICOM file, with or without preamble and file meta header.

    Elements are decoded on use, so that all that is not touched can be written again byte for byte.

    Args:
        path: the file.
        pixels: whether the pixel data, and what follows them, are read.
        tags: keywords of what is wanted; everything when None.

    Returns:
        Its data set, with a transfer syntax in any case.

    Raises:
        FormatError: when it is missing, empty or not DICOM.
    """
    # pydicom's warnings name values, which may be a patient's.
    with reading(path, "DICOM"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, force=True, stop_before_pixels=not pixels, specific_tags=tags)
        if not dataset.file_meta.get("TransferSyntaxUID"):
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        return dataset
