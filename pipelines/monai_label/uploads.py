# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Uploads and results are kept in a folder that only the server can read, and no longer than needed.

MONAI Label keeps both in tempfile's folder, which everybody can read by default, and removes them only after an answer:
uploads of a refused request would stay.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["discard_upload", "keep_uploads_in"]


def keep_uploads_in(folder: str | os.PathLike) -> str:
    """Make this process, and with it MONAI Label, create its temporary files in a folder.

    Args:
        folder: the folder, created if missing and closed to all but its owner.

    Returns:
        Its real path.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder).chmod(0o700)
    tempfile.tempdir = os.path.realpath(folder)
    return tempfile.tempdir


def discard_upload(path: str) -> None:
    """Remove a file if it is in that folder, and no other file.

    Args:
        path: any path, or an image's id.
    """
    if os.path.isabs(path) and os.path.dirname(path) == tempfile.tempdir:
        Path(path).unlink(missing_ok=True)
