# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading images of all formats into one layout: channel first, spatial axes x, y (and z)."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pydicom
import torch
from monai.config import KeysCollection
from monai.data import ImageReader, MetaTensor, NibabelReader, PILReader, PydicomReader
from monai.transforms import MapTransform, Transform
from monai.transforms.io.array import switch_endianness

from .file_types import DICOM_SUFFIXES, NIFTI_SUFFIXES, PIL_SUFFIXES, TIFF_SUFFIXES, has_dicom_preamble

__all__ = ["ImageReadError", "LoadMedicalImage", "LoadMedicalImaged", "drop_equal_channels"]


class ImageReadError(ValueError):
    """An image that cannot be used; the message names the file and the cause."""

    def __init__(self, path: str | os.PathLike, cause: str) -> None:
        super().__init__(f"{os.fspath(path)}: {cause}")
        self.path = os.fspath(path)
        self.cause = cause


class LoadMedicalImage(Transform):
    """Read a PNG, JPEG, BMP, TIFF, NIfTI or DICOM file, or a folder that holds one DICOM series.

    MONAI's readers do the work, chosen by the file's name: left to itself, MONAI's choice depends on which packages
    are installed, and the shape of the result with it. As everywhere in MONAI the first spatial axis is x (columns),
    the second y (rows).

    Args:
        dtype: dtype of the result.

    Returns (of a call):
        A MetaTensor ``(C, X, Y)`` for an image, ``(C, X, Y, Z)`` for a volume, C being 1 or 3, in the file's own
        intensity unit (DICOM: after rescale slope and intercept, so HU for CT). ``meta["stored_dtype"]`` names the
        dtype on file (where a rescale changes the values, that of its result).

    Raises:
        ImageReadError: when the file is missing, cannot be decoded, holds NaN or infinite values, is empty, is a
            video or has a number of channels other than 1 and 3.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def __call__(self, path: str | os.PathLike, slice_index: int | None = None) -> MetaTensor:
        """Read ``path``; of a volume, ``slice_index`` picks one slice along its last axis."""
        path = os.fspath(path)
        if not os.path.exists(path):
            raise ImageReadError(path, "no such file.")
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise ImageReadError(path, "the file is empty (0 bytes).")
        try:
            reader = _reader_for(path)
            color = _is_planar(path) or (isinstance(reader, PydicomReader) and _is_color_dicom(path))
            # Not through LoadImage: where this reader fails, it would try all others, and it warns at every start
            # about GPU readers that are not installed.
            data = reader.read(path)
            _refuse_several_series(data, path)
            array, meta = reader.get_data(data)
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            meta["filename_or_obj"] = path
            image = MetaTensor.ensure_torch_and_prune_meta(array, switch_endianness(meta, "<"))
        except ImageReadError:
            raise
        except Exception as error:
            raise ImageReadError(path, f"cannot be read as an image: {_first_line(error)}") from error
        image = _channel_first(image, color, path)
        if slice_index is not None:
            image = _pick_slice(image, int(slice_index), path)
        if 0 in image.shape:
            raise ImageReadError(path, f"the image is empty, shape {tuple(image.shape)}.")
        image = image.to(self.dtype)
        if not bool(torch.isfinite(image).all()):
            raise ImageReadError(path, "the image holds NaN or infinite values.")
        image.meta["stored_dtype"] = _stored_dtype(data, array)
        image.meta["original_channel_dim"] = 0
        return image


class LoadMedicalImaged(MapTransform):
    """Dictionary version of :class:`LoadMedicalImage`.

    An RGB file whose three channels are equal is a gray image: where the item says that it has one channel, one is
    kept.

    Args:
        keys: keys whose values are paths; each is replaced by its image.
        slice_key: the item's key for the slice index, when the path is a volume; absent or None for images.
        channels_key: the item's key for the number of channels, 1 or 3, as in a manifest; may be absent.
        dtype: dtype of the result.
        allow_missing_keys: don't raise when a key is missing.

    Raises (of a call):
        ImageReadError: as :class:`LoadMedicalImage`, and when the image has another number of channels than stated.
    """

    def __init__(
        self,
        keys: KeysCollection,
        slice_key: str = "slice",
        dtype: torch.dtype = torch.float32,
        allow_missing_keys: bool = False,
        channels_key: str = "channels",
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slice_key = slice_key
        self.channels_key = channels_key
        self.loader = LoadMedicalImage(dtype)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the image under each key. Returns: a copy of ``data`` with the images in place of the paths."""
        d = dict(data)
        for key in self.key_iterator(d):
            path, stated = d[key], d.get(self.channels_key)
            d[key] = self.loader(path, d.get(self.slice_key))
            if stated == 1:
                d[key] = drop_equal_channels(d[key])
            if stated is not None and d[key].shape[0] != int(stated):
                raise ImageReadError(path, f"has {d[key].shape[0]} channels, the manifest says {stated}.")
        return d


def drop_equal_channels(image: MetaTensor) -> MetaTensor:
    """Make a gray image of one that holds the same channel three times; return any other as it is.

    Args:
        image: channel-first, ``(C, X, Y)`` or ``(C, X, Y, Z)``.

    Returns:
        ``(1, ...)`` when all channels are equal, else ``image``.
    """
    if image.shape[0] > 1 and bool((image[1:] == image[:1]).all()):
        return image[:1]
    return image


class DicomReader(PydicomReader):
    """DICOM through MONAI, safe in threads.

    MONAI makes JSON of the header in a way that has pydicom refuse bad values meanwhile, for the whole process. Where
    two threads do so at once, the second may take this for the usual state and leave it so.
    """

    lock = threading.Lock()

    def _get_meta_dict(self, img: Any) -> dict:
        with self.lock:
            return super()._get_meta_dict(img)


def _renew_lock() -> None:
    DicomReader.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # A data loader's process may be forked while a thread, which does not live on in it, holds the lock.
    os.register_at_fork(after_in_child=_renew_lock)


class TiffReader(PILReader):
    """TIFF through ``tifffile``, which reads the 16-bit color and float files that Pillow cannot."""

    def read(self, data: Any, **kwargs: Any) -> Any:
        import tifffile

        return tifffile.imread(os.fspath(data[0] if isinstance(data, (list, tuple)) else data))

    def get_data(self, img: np.ndarray) -> tuple[np.ndarray, dict]:
        if img.ndim not in (2, 3) or (img.ndim == 3 and img.shape[-1] > 4):
            raise ValueError(f"multi-page TIFF of shape {img.shape}; split it into one file a page.")
        return np.moveaxis(img, 0, 1), {"affine": np.eye(4), "spatial_shape": np.asarray(img.shape[1::-1])}


def _reader_for(path: str) -> ImageReader:
    name = path.lower()
    if name.endswith(PIL_SUFFIXES):
        return PILReader(converter=_expand_palette)
    if name.endswith(TIFF_SUFFIXES):
        return TiffReader()
    if name.endswith(NIFTI_SUFFIXES):
        return NibabelReader()
    if os.path.isdir(path) or name.endswith(DICOM_SUFFIXES) or has_dicom_preamble(path):
        return DicomReader()
    raise ImageReadError(path, "not a PNG, JPEG, BMP, TIFF, NIfTI or DICOM file.")


def _expand_palette(image: Any) -> Any:
    """Expand palette indices and packed bits, which are not intensities, before they become an array."""
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    return image


def _is_planar(path: str) -> bool:
    """Whether the format holds flat pictures only, so that a third axis can only be color."""
    return path.lower().endswith(PIL_SUFFIXES + TIFF_SUFFIXES)


def _is_color_dicom(path: str) -> bool:
    if os.path.isdir(path):
        return False
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImageReadError(path, "multi-frame DICOM (a video or an enhanced volume) is not supported here.")
    return int(header.get("SamplesPerPixel") or 1) > 1


def _refuse_several_series(data: Any, path: str) -> None:
    """MONAI would stack the slices of all series in a folder to one volume."""
    if isinstance(data, list) and all(isinstance(header, pydicom.Dataset) for header in data):
        series = {str(header.get("SeriesInstanceUID")) for header in data}
        if len(series) > 1:
            raise ImageReadError(path, f"the folder holds {len(series)} DICOM series; give each a folder of its own.")


def _stored_dtype(data: Any, array: np.ndarray) -> str:
    """The array's dtype; for DICOM whose rescale changes nothing the one on file, though MONAI made floats of it."""
    header = data[0] if isinstance(data, list) else data
    if not isinstance(header, pydicom.Dataset) or "PixelData" not in header:
        return array.dtype.name
    if (header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0)) != (1, 0):
        return array.dtype.name
    if not header.PixelRepresentation and header.get("BitsStored") == 8:
        return "uint8"  # in words of 16 bits too
    return f"{'' if header.PixelRepresentation else 'u'}int{header.BitsAllocated}"


def _channel_first(image: MetaTensor, color: bool, path: str) -> MetaTensor:
    """Bring (X, Y), (X, Y, C) or (X, Y, Z) to (C, X, Y[, Z])."""
    if image.ndim == 2:
        return image[None]
    if image.ndim == 3 and color:
        channels = image.shape[-1]
        if channels not in (1, 3):
            raise ImageReadError(path, f"has {channels} channels; only 1 (gray) and 3 (RGB) are supported.")
        return image.movedim(-1, 0)
    if image.ndim == 3:
        return image[None] if image.shape[-1] > 1 else image[None, ..., 0]
    cause = f"has {image.ndim} dimensions, shape {tuple(image.shape)}: neither an image nor a single volume."
    raise ImageReadError(path, cause)


def _pick_slice(image: MetaTensor, index: int, path: str) -> MetaTensor:
    if image.ndim != 4:
        raise ImageReadError(path, f"slice {index} was asked for, but this is not a volume.")
    if not 0 <= index < image.shape[-1]:
        raise ImageReadError(path, f"slice {index} was asked for, but the volume has {image.shape[-1]}.")
    return image[..., index]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
