# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""DICOM files made of pydicom's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian

ROWS, COLUMNS = 12, 9


def make_slice(path: Path, number: int = 1, source: str = "CT_small.dcm", **values) -> Path:
    """A small slice of seeded noise that lies ``number`` times 2.5 mm along the z axis; ``values`` change elements."""
    dataset = pydicom.dcmread(get_testdata_file(source))
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.PixelSpacing = [0.5, 0.75]
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, 20, 2.5 * number]
    dataset.InstanceNumber, dataset.SOPInstanceUID = number, f"1.2.3.{number}"
    dataset.SeriesInstanceUID = "1.2.3"
    for name, value in values.items():
        if value is None:
            if name in dataset:
                del dataset[name]
        elif name == "PixelPaddingRangeLimit":  # of either VR
            dataset.add_new(name, "SS", value)
        else:
            setattr(dataset, name, value)
    if "PixelData" not in values:
        shape = (int(dataset.get("NumberOfFrames") or 1), dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
        top = 2 ** (dataset.BitsStored - 1)
        pixels = np.random.default_rng(number).integers(0, top, shape, dtype=np.uint32)
        plain = pixels.astype(f"<u{dataset.BitsAllocated // 8}").tobytes()
        dataset.PixelData = plain + b"\0" * (len(plain) % 2)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


@pytest.fixture(scope="session")
def dicom_slice() -> Callable[..., Path]:
    return make_slice


@pytest.fixture
def dicom_series(tmp_path) -> list[Path]:
    """Five CT slices, in the order of their names, which is not that of their places."""
    return [make_slice(tmp_path / "in" / f"{name}.dcm", number) for name, number in zip("abcde", (3, 1, 5, 2, 4))]
