# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing DICOM, one series at a time."""

from .reader import read_dicom
from .series import DicomGroups, group_dicom
from .writer import write_dicom

__all__ = ["DicomGroups", "group_dicom", "read_dicom", "write_dicom"]
