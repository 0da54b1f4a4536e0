# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading one of the studies' images, and the intensities that stand for black and white in it."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

from monai.data import MetaTensor

from ...data_manifest.discover import find_image_files, read_dicom_headers
from ...transforms.intensity import intensity_range, negative_cause, negative_share
from ...transforms.load import ImageReadError, LoadMedicalImage
from ..denoising.settings import DenoisingSettings

__all__ = ["black_and_white", "image_modality", "read_image"]


def read_image(path: str | os.PathLike) -> MetaTensor:
    """Read an image; the reason for which that fails does not tell where on the server the file lies.

    Args:
        path: a file, or a folder that holds one DICOM series.

    Returns:
        ``(C, X, Y)`` or ``(C, X, Y, Z)`` in its own unit, see :class:`~noisewise.transforms.LoadMedicalImage`.

    Raises:
        ValueError: when it is no image that can be denoised.
    """
    try:
        with warnings.catch_warnings():
            # Of a folder, MONAI would leave out a file that it cannot read, and log its name.
            warnings.filterwarnings("error", message="Failed to read")
            return LoadMedicalImage()(path)
    except ImageReadError as error:
        raise ValueError(error.cause.replace(os.fspath(path), "the image")) from None


def image_modality(path: str | os.PathLike) -> str | None:
    """What a DICOM header calls the modality.

    Args:
        path: a file, or a folder that holds one DICOM series.

    Returns:
        ``"ct"``, ``"mri"``, ...; None when the image is no DICOM or the header does not say.
    """
    first = find_image_files(path)[:1]
    with ThreadPoolExecutor(max_workers=1) as executor:
        headers = read_dicom_headers(first, executor)
    return next((header.modality or None for header in headers.values()), None)


def black_and_white(
    image: MetaTensor, path: str | os.PathLike, settings: DenoisingSettings
) -> tuple[float, float] | None:
    """The values that stand for 0 and 1: those the request states, or those of the manifest's rule.

    Args:
        image: what was read, the whole volume or series.
        path: where from.
        settings: the request's.

    Returns:
        ``(low, high)``; None for an image without contrast, which holds nothing to remove.

    Raises:
        ValueError: when the rule gives no range, or one that more than a tenth of the pixels lies clearly below.
    """
    if bool((image == image.flatten()[0]).all()):
        return None
    if settings.intensity_range is not None:
        return settings.intensity_range
    modality = settings.modality or image_modality(path)
    low, high = intensity_range(image, image.meta["stored_dtype"], modality)
    if modality != "ct" and negative_cause(negative_share((image.as_tensor() - low) / (high - low))) is not None:
        raise ValueError(
            "many intensities lie clearly below 0, outside the range that is denoised; if they are Hounsfield units, "
            'send the parameter "modality": "ct", otherwise state "intensity_range": [low, high].'
        )
    return low, high
