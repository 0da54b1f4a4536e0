# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a DICOM header that pairing CT slices needs: place, kernel, thickness and the meaning of values."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from ..transforms import ImageReadError

__all__ = ["CTSlice", "kernel_class", "read_ct_slice"]

_TAGS = (
    "BitsAllocated",
    "Columns",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "Modality",
    "PatientAge",
    "PatientID",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SeriesDescription",
    "SliceThickness",
)
# Siemens: B30f, D45f, Br40d, Hr38, T20s ...; the number grows with sharpness.
_SIEMENS = re.compile(r"[A-Z][a-z]?(\d{2})[a-z]?")
SHARPEST_SOFT = 40
# GE's, in capitals.
_GE = {
    "soft": ("SOFT", "STANDARD", "STND"),
    "sharp": ("DETAIL", "LUNG", "BONE", "BONEPLUS", "EDGE"),
}
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_DAYS = {"D": 1, "W": 7, "M": 30.44, "Y": 365.25}


@dataclass(frozen=True, eq=False)
class CTSlice:
    """A CT slice as its header describes it; None or empty for what the header does not say.

    Attributes:
        path: the file.
        modality: DICOM's Modality, ``"CT"``.
        is_localizer: whether it is a scout view.
        patient_id: as on file; it must never be written anywhere.
        description: SeriesDescription.
        shape: rows and columns.
        position: center of the first pixel in millimeters, ``(3,)``.
        axes: unit vectors along a row and along a column, ``(2, 3)``.
        spacing: distances between rows and between columns in millimeters.
        thickness: SliceThickness in millimeters.
        kernel: ConvolutionKernel; of several values, joined by a space.
        is_hounsfield: whether it states Rescale Slope and Intercept, and no unit other than HU.
        has_contrast: whether it names a contrast agent.
        age: the patient's age in years.
        padding: lowest and highest HU of the padding pixels.
    """

    path: Path
    modality: str
    is_localizer: bool
    patient_id: str
    description: str
    shape: tuple[int, int]
    position: np.ndarray | None
    axes: np.ndarray | None
    spacing: np.ndarray | None
    thickness: float | None
    kernel: str
    is_hounsfield: bool
    has_contrast: bool
    age: float | None
    padding: tuple[float, float] | None

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the slice, ``(3,)``."""
        return np.cross(*self.axes)


def read_ct_slice(path: str | os.PathLike) -> CTSlice:
    """Read the header of a DICOM file, without its pixels.

    Args:
        path: the file.

    Returns:
        What it says.

    Raises:
        ImageReadError: when it is not a DICOM file, or a value in it is invalid.
    """
    path = Path(path)
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        # Anything can be read by force; what has neither DICOM's preamble nor a modality is something else.
        if header.preamble is None and not header.get("Modality"):
            raise ImageReadError(path, "is not a DICOM file.")
        return CTSlice(
            path=path,
            modality=str(header.get("Modality") or ""),
            is_localizer="LOCALIZER" in _values(header, "ImageType"),
            patient_id=str(header.get("PatientID") or "").strip(),
            description=str(header.get("SeriesDescription") or ""),
            shape=(int(header.get("Rows") or 0), int(header.get("Columns") or 0)),
            position=_vector(header, "ImagePositionPatient", (3,)),
            axes=_vector(header, "ImageOrientationPatient", (2, 3)),
            spacing=_vector(header, "PixelSpacing", (2,)),
            thickness=_number(header, "SliceThickness"),
            kernel=" ".join(_values(header, "ConvolutionKernel")),
            is_hounsfield=_is_hounsfield(header),
            has_contrast=bool(str(header.get("ContrastBolusAgent") or "").strip()),
            age=_age(header),
            padding=_padding(header),
        )
    except ImageReadError:
        raise
    except OSError as error:
        raise ImageReadError(path, f"cannot be read: {error.strerror or type(error).__name__}.") from error
    except Exception as error:
        # The error's own text may quote the header.
        raise ImageReadError(path, f"its DICOM header is damaged ({type(error).__name__}).") from error


def kernel_class(kernel: str) -> str:
    """Whether a reconstruction kernel is soft or sharp.

    Siemens' kernels are soft up to number 40 (B30f, Br40) and sharp above (D45f, B70f), as in the 2016 challenge; of
    GE's, SOFT and STANDARD are soft, DETAIL, LUNG, BONE and EDGE sharp.

    Args:
        kernel: ConvolutionKernel.

    Returns:
        ``"soft"``, ``"sharp"``, or empty for a kernel of another maker.
    """
    name = kernel.split()[0] if kernel.split() else ""
    siemens = _SIEMENS.fullmatch(name)
    if siemens:
        return "soft" if int(siemens.group(1)) <= SHARPEST_SOFT else "sharp"
    return next((word for word, names in _GE.items() if name.upper() in names), "")


def _values(header: pydicom.Dataset, name: str) -> list[str]:
    value = header.get(name)
    values = [] if value is None else [value] if isinstance(value, str) else list(value)
    return [str(value).strip() for value in values if str(value).strip()]


def _vector(header: pydicom.Dataset, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    value = header.get(name)
    return np.array(value, float).reshape(shape) if value else None


def _number(header: pydicom.Dataset, name: str) -> float | None:
    value = header.get(name)
    return None if value is None else float(value)


def _is_hounsfield(header: pydicom.Dataset) -> bool:
    # CT values are HU unless RescaleType says otherwise (PS3.3 C.8.2.1).
    stated = str(header.get("RescaleType") or "HU")
    return header.get("RescaleSlope") is not None and header.get("RescaleIntercept") is not None and stated == "HU"


def _age(header: pydicom.Dataset) -> float | None:
    text = str(header.get("PatientAge") or "").strip()
    if not text:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError("PatientAge")
    return int(match.group(1)) * _DAYS[match.group(2)] / _DAYS["Y"]


def _padding(header: pydicom.Dataset) -> tuple[float, float] | None:
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if value is None:
        return None
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if slope is None or intercept is None:
        return None
    ends = sorted(_signed(header, end) * slope + intercept for end in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _signed(header: pydicom.Dataset, value: int) -> int:
    # Some writers give signed values as unsigned ones of the same bits.
    bits = int(header.BitsAllocated)
    return int(value) - 2**bits if header.get("PixelRepresentation") and int(value) >= 2 ** (bits - 1) else int(value)
