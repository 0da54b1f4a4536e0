# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing denoised images in the format of their input, with the same size, orientation and unit."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import NibabelWriter, PILWriter
from monai.transforms import MapTransform
from monai.utils import convert_data_type
from PIL import ExifTags, Image

from ..atomic import atomic_path
from .file_types import NIFTI_SUFFIXES, PIL_SUFFIXES, PNG_SUFFIXES, TIFF_SUFFIXES, split_suffix

__all__ = ["SaveDenoisedd", "denoised_path", "save_like_input", "write_nifti"]

NIFTI_MILLIMETERS = 2
TIFF_ORIENTATION = 274
# Formats that are written as they were read.
KEPT_SUFFIXES = PNG_SUFFIXES + TIFF_SUFFIXES + NIFTI_SUFFIXES

logger = logging.getLogger(__name__)


def denoised_path(
    source: str | os.PathLike,
    output_dir: str | os.PathLike,
    root_dir: str | os.PathLike | None = None,
    keep_suffix: bool = False,
) -> Path:
    """Where the denoised image of a file belongs: ``<output_dir>/<sub-folder>/<name>``.

    Args:
        source: the input, a file or a folder that holds one DICOM series.
        output_dir: where outputs go.
        root_dir: the folder of all inputs; sub-folders below it are kept. Inputs elsewhere get none.
        keep_suffix: keep the input's suffix in the name of a result of another format (``a_jpg.png``), where
            ``a.png`` is there too.

    Returns:
        A path with the input's own name for PNG, TIFF and NIfTI. JPEG and BMP become ``.png``, and DICOM becomes
        ``.nii.gz``.
    """
    # Not resolve(): the user sees the place of a link, not that of its target.
    source = Path(os.path.abspath(source))
    below = Path()
    if root_dir is not None and source.is_relative_to(os.path.abspath(root_dir)):
        below = source.relative_to(os.path.abspath(root_dir)).parent
    stem, suffix = (source.name, "") if source.is_dir() else split_suffix(source.name)
    if suffix in KEPT_SUFFIXES:
        return Path(output_dir, below, source.name)
    if keep_suffix:
        stem += suffix.replace(".", "_") or "_dicom"
    return Path(output_dir, below, stem + (".png" if suffix in PIL_SUFFIXES else ".nii.gz"))


def save_like_input(
    image: NdarrayOrTensor, meta: Mapping[str, Any], path: str | os.PathLike, overwrite: bool = False
) -> Path:
    """Write an image as its input was stored. A kill leaves no half-written file under ``path``.

    Args:
        image: ``(C, X, Y)`` or ``(C, X, Y, Z)`` in the input's own intensity unit.
        meta: the input's, as :class:`~noisewise.transforms.load.LoadMedicalImage` gives it; it names the file, which
            is opened once more for the tags that say how to look at it.
        path: the output, with a suffix as :func:`denoised_path` gives it. Missing folders are made.
        overwrite: replace a file that is there already.

    Returns:
        ``path``. PNG holds 8 bit where the input did, 16 bit otherwise; TIFF has the input's dtype; both are rounded
        and clipped to that dtype's range. NIfTI is float32 with the input's affine.

    Raises:
        FileExistsError: when ``path`` exists and ``overwrite`` is False.
        ValueError: when the suffix does not belong to the input's family, or when the input would be replaced.
    """
    path = Path(path)
    family = denoised_path(meta["filename_or_obj"], "").name.lower()
    writers = {PNG_SUFFIXES: _write_png, TIFF_SUFFIXES: _write_tiff, NIFTI_SUFFIXES: write_nifti}
    suffixes, write = next(item for item in writers.items() if family.endswith(item[0]))
    if not path.name.lower().endswith(suffixes):
        raise ValueError(f"{path}: an image from {meta['filename_or_obj']} is written as {' or '.join(suffixes)}.")
    if os.path.realpath(path) == os.path.realpath(meta["filename_or_obj"]):
        raise ValueError(f"{path}: is the input; choose another folder for the result.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists already; choose another folder or ask to overwrite.")
    with atomic_path(path) as temporary:
        write(convert_data_type(image, np.ndarray)[0], meta, temporary)
    return path


def write_nifti(image: NdarrayOrTensor, meta: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write an image of any format as NIfTI: float32, with the affine that it was read with.

    Args:
        image: ``(C, X, Y)`` or ``(C, X, Y, Z)``; the channels of a color image become the last axis.
        meta: as :class:`~noisewise.transforms.load.LoadMedicalImage` gives it.
        path: the output, ``.nii`` or ``.nii.gz``.
    """
    array = convert_data_type(image, np.ndarray)[0]
    affine = np.asarray(meta["affine"], dtype=np.float64)
    from_nifti = str(meta["filename_or_obj"]).lower().endswith(NIFTI_SUFFIXES)
    if array.ndim == 3:
        # A flat image keeps a third axis, and with it its spacing, unless the input had none.
        if not from_nifti:
            affine = _slice_affine(affine)
        if not from_nifti or len(meta["spatial_shape"]) > 2:
            array = array[..., None]
    image = NibabelWriter.create_backend_obj(
        array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1), affine=affine, dtype=np.float32
    )
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header["xyzt_units"] = int(meta.get("xyzt_units", NIFTI_MILLIMETERS))
    image.to_filename(path)


class SaveDenoisedd(MapTransform):
    """Write denoised images in the format of their input, see :func:`save_like_input`.

    Args:
        keys: the denoised image, in the input's intensity unit.
        output_dir: where outputs go.
        image_key: the input, a MetaTensor of :class:`~noisewise.transforms.load.LoadMedicalImaged`: its meta data
            name the file, its dtype and its affine, even where the network dropped its meta data.
        root_dir: the folder of all inputs; sub-folders below it are kept.
        path_key: where an item may state its output's path; otherwise :func:`denoised_path` makes one.
        overwrite: replace files that are there already.
        allow_missing_keys: don't raise when a key is missing.

    Raises (of a call):
        FileExistsError: when the output exists and ``overwrite`` is False.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        image_key: str = "image",
        root_dir: str | os.PathLike | None = None,
        path_key: str = "output_path",
        overwrite: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.root_dir = output_dir, root_dir
        self.image_key, self.path_key = image_key, path_key
        self.overwrite = overwrite

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write. Returns: a copy of ``data`` that names the file written under ``path_key``."""
        d = dict(data)
        for key in self.key_iterator(d):
            meta = d[self.image_key].meta
            source = meta["filename_or_obj"]
            path = d.get(self.path_key) or denoised_path(source, self.output_dir, self.root_dir)
            d[self.path_key] = str(save_like_input(d[key], meta, path, self.overwrite))
            logger.debug("%s -> %s", source, path)
        return d


def _to_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return array.astype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.rint(np.clip(array.astype(np.float64), low, high)).astype(dtype)


def _channel_last(array: np.ndarray) -> np.ndarray:
    """(C, X, Y) to (X, Y), or (X, Y, C) for color."""
    return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)


def _write_png(array: np.ndarray, meta: Mapping[str, Any], path: Path) -> None:
    dtype = np.dtype(np.uint8 if meta["stored_dtype"] in ("uint8", "bool") else np.uint16)
    # The writer's set_data_array() would squeeze images of one column.
    image = PILWriter.create_backend_obj(_to_dtype(_channel_last(array), dtype), scale=None)
    exif = Image.Exif()
    with Image.open(meta["filename_or_obj"]) as source:
        orientation = source.getexif().get(ExifTags.Base.Orientation)
    if orientation:  # photographs are stored as the camera was held; nothing else of the tags is carried over
        exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)


def _write_tiff(array: np.ndarray, meta: Mapping[str, Any], path: Path) -> None:
    array = np.ascontiguousarray(np.swapaxes(_channel_last(array), 0, 1))
    with tifffile.TiffFile(meta["filename_or_obj"]) as source:
        page = source.pages[0]
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        orientation = page.tags.valueof(TIFF_ORIENTATION, 1)
        resolution = {}
        if "XResolution" in page.tags:
            resolution = {"resolution": page.get_resolution(), "resolutionunit": page.resolutionunit}
    tifffile.imwrite(
        path,
        _to_dtype(array, np.dtype(meta["stored_dtype"])),
        photometric="rgb" if array.ndim == 3 else "miniswhite" if inverted else "minisblack",
        extratags=[(TIFF_ORIENTATION, "H", 1, int(orientation), True)],
        metadata=None,
        **resolution,
    )


def _slice_affine(affine: np.ndarray) -> np.ndarray:
    """The affine of a single DICOM slice, its third axis normal to the slice: MONAI's is always the patient's z."""
    fixed = affine.copy()
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    fixed[:3, 2] = normal / np.linalg.norm(normal)
    return fixed
