# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The studies in a folder: files of all supported formats, and DICOM series as sub-folders."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore

from ...transforms.file_types import PLAIN_SUFFIXES, is_dicom, split_suffix
from .gate import is_plain_name, require_plain_name

__all__ = ["StudiesDatastore", "is_image"]

logger = logging.getLogger(__name__)


class StudiesDatastore(LocalDatastore):
    """MONAI Label's store of images in a folder, for the formats of this package.

    The id of an image is the file's name without the suffix, or the name of the sub-folder with the DICOM series.
    Deeper folders are not searched. No request reads, writes or removes anything outside the folder: all of them come
    to a file by :meth:`_filename`.
    """

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image, or replace one.

        Args:
            image_id: its id; empty for the name of the file.
            image_filename: the file to copy.
            image_info: kept in the index.

        Returns:
            The id that takes effect.

        Raises:
            HTTPException: 400 if the id or the file cannot be an image's.
        """
        name, suffix = self._to_id(os.path.basename(image_filename))
        image_id = image_id or name
        target = Path(self._datastore.image_path(), self._filename(image_id, suffix))
        if not (target.name.lower().endswith(PLAIN_SUFFIXES) or is_dicom(Path(image_filename))):
            raise HTTPException(400, "the file is not an image: neither its suffix nor its content says so.")
        if target.is_symlink() or target.is_dir():
            raise HTTPException(400, f"{image_id!r} is a folder or a link, which is not replaced.")
        return super().add_image(image_id, image_filename, image_info)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels. Of a link, the link alone is removed.

        Args:
            image_id: its id.

        Raises:
            ImageNotFoundException: if there is no such image.
        """
        image = self._datastore.objects.get(image_id)
        if image is not None:
            path = Path(self._datastore.image_path(), self._filename(image_id, image.image.ext))
            if path.is_symlink():
                for tag in list(image.labels):
                    self.remove_label(image_id, tag)
                path.unlink()
                self.refresh()
                return
        super().remove_image(image_id)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """An archive of all images that have a final label.

        Args:
            limit_cases: of how many images.

        Returns:
            The path of the archive.

        Raises:
            HTTPException: 404 if there are none.
        """
        if not self.datalist():
            raise HTTPException(404, "no image has a final label.")
        return super().get_dataset_archive(limit_cases)

    def _filename(self, id: str, ext: str) -> str:
        require_plain_name("the id", id or ".")
        require_plain_name("the suffix", f"x{ext}")
        return super()._filename(id, ext)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        # This is called for the folders of labels too, which stay as MONAI Label expects them.
        if os.path.realpath(path) != os.path.realpath(self._datastore.image_path()):
            found = super()._list_files(path, patterns)
            return {name: file for name, file in found.items() if is_plain_name(name)}
        names = [name for name in sorted(os.listdir(path)) if is_plain_name(name) and is_image(Path(path, name))]
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
