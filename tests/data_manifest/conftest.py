# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Small image files for the tests of manifests."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from noisewise.data_manifest import ManifestRecord


@pytest.fixture
def write_png():
    """A function that writes a PNG of random pixels: (path, seed, shape, dtype) -> path."""

    def write(path: Path, seed: int = 0, shape: tuple[int, ...] = (40, 48), dtype: str = "uint8", low: int = 0) -> Path:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        high = 256 if dtype == "uint8" else 3000
        pixels = np.random.default_rng(seed).integers(low, high, shape).astype(dtype)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_nifti():
    """A function that writes a NIfTI file: (path, array) -> path."""

    def write(path: Path, array: np.ndarray) -> Path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
        return Path(path)

    return write


@pytest.fixture
def write_dicom():
    """A function that writes one DICOM slice."""

    def write(
        path: Path,
        pixels: np.ndarray,
        modality: str = "CT",
        patient: str = "DOE^JOHN-4711",
        series: str = "1.2.3",
        position: float = 0.0,
        intercept: float | None = -1024,
    ) -> Path:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        # Not by chance: the checksum of a file must not hold a number that a test looks for.
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*path.parts[-2:], patient, series])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.PatientID = data.PatientName = patient
        data.Modality, data.SeriesInstanceUID = modality, series
        data.InstanceNumber = int(position) + 1
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
        data.PixelSpacing = [1, 1]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, position]
        if intercept is not None:
            data.RescaleSlope, data.RescaleIntercept = 1, intercept
        data.PixelData = pixels.tobytes()
        data.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def make_record():
    """A function that makes a record without a file."""

    def make(path: str = "/images/a.png", **values) -> ManifestRecord:
        defaults = {
            "slice": None,
            "modality": "mri",
            "source": "here",
            "license": "CC0-1.0",
            "subject": "s1",
            "split": "train",
            "sha256": "",
            "stored_dtype": "uint8",
            "intensity_min": 0.0,
            "intensity_max": 255.0,
            "channels": 1,
            "height": 40,
            "width": 48,
        }
        return ManifestRecord(path=path, **{**defaults, **values})

    return make
