# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading an image of the studies, and the intensities that stand for black and white in it."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

from monai.data import MetaTensor

from ...data_manifest.discover import find_image_files, read_dicom_headers
from ...transforms.intensity import find_intensity_range, is_about_unit, negative_cause, negative_share
from ...transforms.load import ImageReadError, LoadMedicalImage
from ..denoising.models import is_ct_model
from ..denoising.settings import DenoisingSettings

__all__ = ["black_and_white", "image_modality", "read_image"]


def read_image(path: str | os.PathLike) -> MetaTensor:
    """Read an image. Error messages do not reveal the file's place on the server.

    Args:
        path: a file, or a folder that holds one DICOM series.

    Returns:
        ``(C, X, Y)`` or ``(C, X, Y, Z)`` in its own unit, see :class:`~noisewise.transforms.LoadMedicalImage`.

    Raises:
        ValueError: if it is not an image that can be denoised.
    """
    try:
        with warnings.catch_warnings():
            # MONAI would leave out unreadable files of a folder, and log their names.
            warnings.filterwarnings("error", message="Failed to read")
            return LoadMedicalImage()(path)
    except ImageReadError as error:
        raise ValueError(error.cause.replace(os.fspath(path), "the image")) from None


def image_modality(path: str | os.PathLike) -> str | None:
    """The modality by a DICOM header.

    Args:
        path: a file, or a folder that holds one DICOM series.

    Returns:
        ``"ct"``, ``"mri"``, ...; None if the image is not DICOM or the header does not state it.
    """
    first = find_image_files(path)[:1]
    with ThreadPoolExecutor(max_workers=1) as executor:
        headers = read_dicom_headers(first, executor)
    return next((header.modality or None for header in headers.values()), None)


def black_and_white(
    image: MetaTensor, path: str | os.PathLike, settings: DenoisingSettings
) -> tuple[float, float] | None:
    """The values that map to 0 and 1: stated by the request, or found by the manifest's rule.

    Args:
        image: the image, the whole volume or series.
        path: its path.
        settings: settings of the request.

    Returns:
        ``(low, high)``; None for an image without contrast, which has no noise to remove.

    Raises:
        ValueError: if the rule gives no range, or more than a tenth of the pixels lie clearly below it.
    """
    if bool((image == image.flatten()[0]).all()):
        return None
    if settings.intensity_range is not None:
        return settings.intensity_range
    modality = settings.modality or image_modality(path)
    if modality is None and is_ct_model(settings.model) and not is_about_unit(image):
        modality = "ct"
    low, high, _ = find_intensity_range(image, image.meta["stored_dtype"], modality)
    if modality != "ct" and negative_cause(negative_share((image.as_tensor() - low) / (high - low))) is not None:
        raise ValueError(
            "many intensities lie clearly below 0, outside the range that is denoised; if they are Hounsfield units, "
            'send the parameter "modality": "ct", otherwise state "intensity_range": [low, high].'
        )
    return low, high
