# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What clients send, and what they get, lies in a folder that only the server may look into, and no longer than needed.

MONAI Label puts both below tempfile's folder, by default readable for all, and removes them after answers only: what
came with a request that is refused would stay there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["discard_upload", "keep_uploads_in"]


def keep_uploads_in(folder: str | os.PathLike) -> str:
    """Let this process, and with it MONAI Label, make its temporary files in a folder.

    Args:
        folder: made if missing, and closed to all but its owner.

    Returns:
        Its real path.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder).chmod(0o700)
    tempfile.tempdir = os.path.realpath(folder)
    return tempfile.tempdir


def discard_upload(path: str) -> None:
    """Remove a file if it is one of those, and nothing else.

    Args:
        path: any path, or an image's id.
    """
    if os.path.isabs(path) and os.path.dirname(path) == tempfile.tempdir:
        Path(path).unlink(missing_ok=True)
