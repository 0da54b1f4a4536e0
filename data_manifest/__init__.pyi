# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Manifests of images: built from folders, split by subject, verified, and read by MONAI's data sets."""

from .build import BuildError, build_manifest
from .ct_series import kernel_class
from .ct_windows import ANATOMY_WINDOWS, CTWindow, anatomy_of
from .digest import file_digest
from .embedded import EmbeddedImage, build_embedded, list_embedded
from .fetch import fetch_manifest
from .folds import leave_one_subject_out
from .low_dose_ct import build_low_dose_ct
from .manifest import SPLITS, Manifest, ManifestError, ManifestRecord, Problem
from .presets import PRESETS, Preset, build_preset
from .sources import DataSource, get_source, list_sources
from .split import split_by_subject
from .table import read_table
from .verify import verify_manifest

__all__ = [
    "ANATOMY_WINDOWS",
    "BuildError",
    "CTWindow",
    "DataSource",
    "EmbeddedImage",
    "Manifest",
    "ManifestError",
    "ManifestRecord",
    "PRESETS",
    "Preset",
    "Problem",
    "SPLITS",
    "anatomy_of",
    "build_embedded",
    "build_low_dose_ct",
    "build_manifest",
    "build_preset",
    "fetch_manifest",
    "file_digest",
    "get_source",
    "kernel_class",
    "leave_one_subject_out",
    "list_embedded",
    "list_sources",
    "read_table",
    "split_by_subject",
    "verify_manifest",
]
