# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""One model as an inference task of MONAI Label."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.data import MetaTensor
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from ...bundles import bundle_path
from ...transforms.file_types import NIFTI_SUFFIXES
from ...transforms.save import write_nifti
from ..denoising import load_model
from ..denoising.settings import DenoisingSettings
from ..denoising.transform import Denoise
from .images import black_and_white, read_image
from .options import default_options, request_settings, result_extension

__all__ = ["DenoisingTask", "trained_bundles"]


def trained_bundles() -> list[str]:
    """The names of the package's bundles that come with weights, sorted."""
    weights = bundle_path("multimodal_denoising").parent.glob("*/models/model.pt")
    return sorted(path.parent.parent.name for path in weights)


class DenoisingTask(InferTask):
    """Denoises a 2-D image, a volume or a DICOM series; volumes slice by slice.

    MONAI Label's ``BasicInferTask`` is not used: its transforms and sliding window add nothing to ``Denoise``, its
    writer loses shears and the spacing of flat images, and it logs the path of each image.

    Args:
        bundle: the name of a bundle of this package.
    """

    def __init__(self, bundle: str) -> None:
        super().__init__(
            type=InferType.OTHERS,
            labels=None,
            dimension=3,
            description=f"Denoises images and volumes with the bundle {bundle}",
            config=default_options(),
        )
        self.bundle = bundle

    def is_valid(self) -> bool:
        """Whether the weights exist."""
        return self.bundle in trained_bundles()

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Denoise.

        Args:
            request: ``image``, the path of a file or DICOM folder; for the rest see
                :func:`~noisewise.pipelines.monai_label.options.request_settings`.

        Returns:
            The path of the result and a description. The result is a NIfTI file in float32 with the image's affine and
            shape (DICOM and flat pictures get a third axis, colors are the last one); the caller removes it.

        Raises:
            ValueError: if an option is wrong or the image cannot be denoised.
        """
        settings, extension = replace(request_settings(request), model=self.bundle), result_extension(request)
        path = request["image"]
        times = [time.monotonic()]
        image = read_image(path)
        limits = black_and_white(image, path, settings)
        times.append(time.monotonic())
        result = image if limits is None else self._denoise(image, path, replace(settings, intensity_range=limits))
        times.append(time.monotonic())
        file = _new_file(extension)
        try:
            write_nifti(result, image.meta, file)
        except BaseException:
            Path(file).unlink(missing_ok=True)
            raise
        times.append(time.monotonic())
        pre, infer, write = (round(after - before, 3) for before, after in itertools.pairwise(times))
        return file, {
            "label_names": [],
            "model": self.bundle,
            "weights_sha256": load_model(self.bundle).digest,
            "strength": settings.strength,
            "intensity_range": limits,
            "latencies": {"pre": pre, "infer": infer, "write": write, "total": round(times[-1] - times[0], 3)},
        }

    def _denoise(self, image: MetaTensor, path: str, settings: DenoisingSettings) -> MetaTensor:
        # DICOM series are cut along their acquisition axis, NIfTI volumes along the coarsest, as the command does.
        axis = None if path.lower().endswith(NIFTI_SUFFIXES) else 2
        return Denoise.from_settings(replace(settings, slice_axis=axis))(image)


def _new_file(extension: str) -> str:
    handle, path = tempfile.mkstemp(suffix=extension)
    os.close(handle)
    return path
