# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The names of modalities, and those of DICOM's Modality tag (0008,0060)."""

from __future__ import annotations

__all__ = ["DICOM_MODALITIES", "MODALITIES", "PAPER_MODALITIES"]

PAPER_MODALITIES = ("mri", "xray", "ct", "skin", "microscopy")
"""The modalities of the paper, which the shipped weights were trained on."""
DICOM_MODALITIES = {
    "CT": "ct",
    "MR": "mri",
    **dict.fromkeys(("CR", "DX", "DR", "XA", "RF", "RG", "MG", "PX", "IO"), "xray"),
    **dict.fromkeys(("SM", "GM"), "microscopy"),
    **dict.fromkeys(("DMS", "XC"), "skin"),
    "US": "ultrasound",
    "PT": "pet",
    "NM": "nuclear",
    "OP": "fundus",
}
MODALITIES = tuple(dict.fromkeys([*PAPER_MODALITIES, *DICOM_MODALITIES.values()]))
"""All names that DICOM files can have. Manifests may use other words for other images."""
