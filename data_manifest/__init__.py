# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Manifests of images: built from folders, split by subject, verified, and read by MONAI's data sets."""

from .build import BuildError, build_manifest
from .digest import file_digest
from .embedded import EmbeddedImage, build_embedded, list_embedded
from .manifest import SPLITS, Manifest, ManifestError, ManifestRecord, Problem
from .table import read_table

__all__ = [
    "BuildError",
    "EmbeddedImage",
    "Manifest",
    "ManifestError",
    "ManifestRecord",
    "Problem",
    "SPLITS",
    "build_embedded",
    "build_manifest",
    "file_digest",
    "list_embedded",
    "read_table",
]
