# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The studies in a folder: files of all supported formats, and DICOM series as sub-folders."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from monailabel.datastore.local import LocalDatastore

from ...transforms.file_types import PLAIN_SUFFIXES, is_dicom, split_suffix

__all__ = ["StudiesDatastore", "is_image"]

logger = logging.getLogger(__name__)


class StudiesDatastore(LocalDatastore):
    """MONAI Label's store of images in a folder, for the formats of this package.

    The id of an image is the file's name without the suffix, or the name of the sub-folder with the DICOM series.
    Deeper folders are not searched.
    """

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        # This is called for the folders of labels too, which stay as MONAI Label expects them.
        if os.path.realpath(path) != os.path.realpath(self._datastore.image_path()):
            return super()._list_files(path, patterns)
        names = [name for name in sorted(os.listdir(path)) if is_image(Path(path, name))]
        hidden = len(names) - len({self._to_id(name)[0] for name in names})
        if hidden:
            logger.warning(
                "%d images are not served, because their names differ from another's only in the suffix.", hidden
            )
        return {name: name for name in names}

    def _to_id(self, file: str) -> tuple[str, str]:
        """The id and the suffix. Unknown suffixes are part of the name, as in ``1.2.840.113619``."""
        path = Path(self._datastore.image_path(), file)
        stem, suffix = split_suffix(file)
        if suffix and not path.is_dir():
            return stem, file[len(stem) :]
        return (file, "") if path.exists() else super()._to_id(file)


def is_image(path: Path) -> bool:
    """Whether a path is an image by its name or a DICOM preamble.

    Args:
        path: a file, or a folder, which is a series if it holds DICOM files.
    """
    if path.name.startswith("."):
        return False
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            return False
        return any(is_dicom(file) for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    return path.name.lower().endswith(PLAIN_SUFFIXES) or is_dicom(path)
