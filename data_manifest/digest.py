# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checksums: of images, for finding corrupt and duplicate files, and of settings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["file_digest", "settings_digest"]


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, or of all files directly in a folder (one DICOM series).

    Args:
        path: a file, or a folder. A folder's digest depends on what its files hold, not on their names or order.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        OSError: when the file is missing or unreadable.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(file_digest(p) for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings, equal for equal ones.

    Args:
        settings: values that JSON can hold; the order of keys does not matter.

    Returns:
        64 lower-case hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
