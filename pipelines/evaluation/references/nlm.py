# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Non-local means, the simplest training-free reference."""

from __future__ import annotations

import numpy as np
from monai.utils import optional_import

from .base import ReferenceDenoiser

__all__ = ["NonLocalMeansDenoiser"]

denoise_nl_means, has_skimage = optional_import("skimage.restoration", name="denoise_nl_means")


class NonLocalMeansDenoiser(ReferenceDenoiser):
    """Non-local means with a known noise level, through scikit-image.

    Args:
        patch_size: side of the compared patches, in pixels.
        patch_distance: how far away they are looked for, in pixels.
        strength: the filter parameter h as a multiple of the noise level; 0.6 is what scikit-image's own example takes
            with its fast mode.

    Raises:
        ImportError: when scikit-image is not installed.

    Reference: Buades, Coll and Morel, "A non-local algorithm for image denoising", CVPR 2005.
    """

    def __init__(self, patch_size: int = 5, patch_distance: int = 6, strength: float = 0.6) -> None:
        super().__init__()
        if not has_skimage:
            raise ImportError("non-local means needs scikit-image: pip install noisewise[embedded]")
        self.patch_size, self.patch_distance, self.strength = patch_size, patch_distance, strength

    def denoise(self, image: np.ndarray, level: float) -> np.ndarray:
        """Denoise one image; see :meth:`ReferenceDenoiser.denoise`."""
        return denoise_nl_means(
            image,
            patch_size=self.patch_size,
            patch_distance=self.patch_distance,
            h=self.strength * level,
            sigma=level,
            fast_mode=True,
            channel_axis=None if image.ndim == 2 else -1,
        )
