# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Manifests of images: built from folders, split by subject, verified, and read by MONAI's data sets."""

from .build import BuildError, build_manifest
from .digest import file_digest
from .embedded import EmbeddedImage, build_embedded, list_embedded
from .fetch import fetch_manifest
from .manifest import SPLITS, Manifest, ManifestError, ManifestRecord, Problem
from .presets import PRESETS, Preset, build_preset
from .sources import DataSource, get_source, list_sources
from .split import split_by_subject
from .table import read_table
from .verify import verify_manifest

__all__ = [
    "BuildError",
    "DataSource",
    "EmbeddedImage",
    "Manifest",
    "ManifestError",
    "ManifestRecord",
    "PRESETS",
    "Preset",
    "Problem",
    "SPLITS",
    "build_embedded",
    "build_manifest",
    "build_preset",
    "fetch_manifest",
    "file_digest",
    "get_source",
    "list_embedded",
    "list_sources",
    "read_table",
    "split_by_subject",
    "verify_manifest",
]
